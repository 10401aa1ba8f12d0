// Depthwise strips: up to 8 neighbouring output pixels, all channels.
#pragma once

#include <cstdint>

#include "kernels/conv/f32_tile.h"

namespace narrow::kernels {

/// src points at the first live tap of the first pixel; taps are [taps_h][taps_w], the live part of the
/// window.
struct F32Strip {
  const char* src;
  int64_t pixel_stride, tap_stride,
      tap_line_stride;  // bytes: between outputs' inputs, taps of a row, rows of taps
  int64_t taps_h, taps_w, channels;
  const float* weights;             // first live tap: [kh][kw][channels rounded up to vectors]
  int64_t weight_tap, weight_line;  // floats
  const float* bias;
  char* dst;  // [pixels][channels], `ld` elements from pixel to pixel
  const char* residual;
  int64_t ld;
  const F32Epilogue* epilogue;
};

using F32StripKernel = void (*)(const F32Strip& strip);

/// Tables by p - 1, the number of pixels. Each output is one chain of fused multiply-adds over the live taps
/// in order.
struct F32StripKernels {
  int64_t lanes, max_pixels;
  const F32StripKernel* any;
  const F32StripKernel* width3[2];  // all three columns live, pixels 1 or 2 taps apart
  const F32StripKernel* width5[2];
};

const F32StripKernels& f32_strip_kernels_avx512();
const F32StripKernels& f32_strip_kernels_avx2();

}  // namespace narrow::kernels
