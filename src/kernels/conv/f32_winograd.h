// The transforms of Winograd's minimal filtering F(2x2, 3x3): a 4x4 patch of input and a 3x3 filter become
// 4x4 each, their element-wise product summed over channels becomes 2x2 outputs; 16 multiplications instead
// of 36.
//   Y = A' [ (G g G') . (B' d B) ] A     Source: Lavin & Gray, "Fast Algorithms for Convolutional Neural
//   Networks", 2015.
#pragma once

#include <cstdint>

#include "kernels/conv/f32_tile.h"

namespace narrow::kernels {

/// d[i]: the 16 pixels of a patch, row by row (a vector of zeros outside the image); v[i * plane]: B' d B.
struct F32PatchIn {
  const float* d[16];
  float* v;
  int64_t plane, channels;  // floats
};

/// m[i * plane]: the 16 sums of one patch for n <= 2 vectors of channels, padded to whole vectors.
/// dst[i] and residual[i]: the four outputs, row by row; null when outside.
struct F32PatchOut {
  const float* m;
  int64_t plane, n;
  const float* bias;
  float* dst[4];
  const float* residual[4];
  const F32Epilogue* epilogue;
};

void f32_winograd_in_avx512(const F32PatchIn& patch);
void f32_winograd_out_avx512(const F32PatchOut& patch);
void f32_winograd_in_avx2(const F32PatchIn& patch);
void f32_winograd_out_avx2(const F32PatchOut& patch);

}  // namespace narrow::kernels
