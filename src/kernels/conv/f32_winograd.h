// The transforms of Winograd's minimal filtering in FP32: a patch of input and a 3x3 filter become numbers at
// 4x4 or 6x6 places, whose products of the same place, summed over channels, become 2x2 or 4x4 outputs: 16
// multiplications instead of 36, or 36 instead of 144.
//
//   Y = A' [ sum_c (G g G') . (B' d B) ] A     Source: Lavin & Gray, "Fast Algorithms for Convolutional
//   Neural Networks", 2015.
//
//   F(2x2, 3x3):  B' =  1  0 -1  0      G =  1    0   0       A' =  1  1  1  0
//                       0  1  1  0          1/2  1/2 1/2            0  1 -1 -1
//                       0 -1  1  0          1/2 -1/2 1/2
//                       0  1  0 -1           0    0   1
//
//   F(4x4, 3x3):  B' =  4  0 -5  0  1  0    G = 1/4    0    0     A' =  1  1  1  1  1  0
//                       0 -4 -4  1  1  0       -1/6 -1/6 -1/6           0  1 -1  2 -2  0
//                       0  4 -4 -1  1  0       -1/6  1/6 -1/6           0  1  1  4  4  0
//                       0 -2 -1  2  1  0        1/24 1/12 1/6           0  1 -1  8 -8  1
//                       0  2 -1 -2  1  0        1/24 -1/12 1/6
//                       0  4  0 -5  0  1         0     0    1
#pragma once

#include <cstdint>

#include "kernels/conv/f32_tile.h"

namespace narrow::kernels {

/// One patch of f32, bf16 or f16: `row` and `pixel` bytes apart; B' d B of every channel, `v_place` floats
/// from place to place.
struct F32PatchIn {
  DType type;
  const char* src;
  int64_t row, pixel, channels;
  float* v;
  int64_t v_place;
};

/// The sums of one patch, m_place floats from place to place, and `columns` of a panel, padded to whole
/// vectors. Of its outputs `down` x `across` are pixels; the first is element `at` of dst and residual.
struct F32PatchOut {
  const float* m;
  int64_t m_place, columns;
  const float* bias;
  char* dst;
  const char* residual;
  int64_t at, row, pixel, down, across;  // row, pixel: elements
  const F32Epilogue* epilogue;
  /// The activation is a clamp, and a residual of dst's type.
  bool clamps;
};

/// Filters of f32, bf16 or f16, g[channels][9][columns], to G g G': u[channels][columns] at every place,
/// `u_place` floats from place to place. Columns are one or two vectors.
struct F32Filters {
  DType type;
  const char* g;
  int64_t channels, columns;
  float* u;
  int64_t u_place;
};

struct F32WinogradKernels {
  void (*filters)(const F32Filters& filters);
  void (*in)(const F32PatchIn& patch);
  void (*out)(const F32PatchOut& patch);
};

const F32WinogradKernels& f32_winograd2_avx512();
const F32WinogradKernels& f32_winograd2_avx2();
const F32WinogradKernels& f32_winograd4_avx512bf16();
const F32WinogradKernels& f32_winograd4_avx512();
const F32WinogradKernels& f32_winograd4_avx2();

}  // namespace narrow::kernels
