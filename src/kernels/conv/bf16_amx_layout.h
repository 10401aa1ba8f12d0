// How the bf16 AMX convolution cuts K into tile steps and lays the padded source out in scratch.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "kernels/conv/conv.h"

namespace narrow::kernels {

/// K = taps x steps_per_tap x k_block. Depends on channels and kernel only, so packed weights fit every
/// spatial size.
struct Bf16AmxK {
  int64_t stored_c = 0;  // channels per pixel in the source copy: c, or padded so that steps are long
  bool merged =
      false;  // a tap is a whole kernel row (kw * stored_c adjacent elements): any kw with dilation_w = 1
  int64_t taps = 0, steps_per_tap = 0, k_block = 0;

  int64_t steps() const { return taps * steps_per_tap; }
  int64_t panel_elements() const { return steps() * k_block * 32; }
};

/// No step reads beyond its tap: neighbouring memory may hold NaN, and 0 * NaN is NaN.
Bf16AmxK bf16_amx_k(const ConvShape& shape);

/// The zero-padded source: per image, stride_h sets of rows (row Y of the padded image is row Y / stride_h of
/// set Y % stride_h), each row flat_width * column_stride pixels.
struct Bf16AmxSource {
  bool direct = false;  // tiles load from src itself
  int64_t images = 0, positions = 0, flat_width = 0;
  int64_t column_stride = 1;  // stored pixels from one output column to the next
  int64_t pixel_step = 1;     // source pixels per stored pixel
  int64_t rows_per_set = 0, row_elements = 0, image_elements = 0;
  int64_t position_stride = 0;
  std::vector<int64_t> taps;  // element offsets of the taps

  int64_t scratch_bytes() const { return direct ? 0 : images * image_elements * 2; }
};

Bf16AmxSource bf16_amx_source(const ConvShape& shape, const Bf16AmxK& k, DType src);

/// The 64-byte tile configuration: accumulators 0-3, A in 4 and 5, B in 6 and 7, for `rows` (1..32)
/// positions.
std::array<uint8_t, 64> bf16_amx_config(int64_t rows, int64_t k_block);

}  // namespace narrow::kernels
