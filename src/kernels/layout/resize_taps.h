// Where each output coordinate of a resize reads its axis, and the linear kernel per ISA.
#pragma once

#include <cstdint>

#include "kernels/layout/resize.h"

namespace narrow::kernels {

struct ResizeTap {
  int64_t low, high;  // source indices; nearest uses low
  float fraction;     // of the way from low to high
};

/// out entries for an axis of `in` elements.
void resize_taps(const ResizeSpec& spec, int64_t in, int64_t out, float scale, ResizeTap* taps);

/// One output pixel: corners are the first channels of four source pixels, top left, top right, bottom left,
/// bottom right.
struct LerpPixel {
  const uint8_t* corner[4];
  float along_w, along_h;
  int64_t channels;
};
void lerp_plain(DType type, const LerpPixel& pixel, void* dst);
void lerp_avx512(DType type, const LerpPixel& pixel, void* dst);

}  // namespace narrow::kernels
