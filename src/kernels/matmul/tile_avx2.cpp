#include <immintrin.h>

#include "kernels/matmul/tile.h"

namespace narrow::kernels {
namespace {

/// 16 of the panel's columns: 6 x 2 accumulators, 2 of b and 1 of a fill 15 of 16 registers.
template <int kRows>
void strip(const TileF32& t, int64_t first) {
  __m256 acc[kRows][2];
#pragma GCC unroll 6
  for (int i = 0; i < kRows; ++i) acc[i][0] = acc[i][1] = _mm256_setzero_ps();
  for (int64_t k = 0; k < t.k; ++k) {
    const __m256 b0 = _mm256_loadu_ps(t.b + k * kPanel + first),
                 b1 = _mm256_loadu_ps(t.b + k * kPanel + first + 8);
#pragma GCC unroll 6
    for (int i = 0; i < kRows; ++i) {
      const __m256 a = _mm256_broadcast_ss(t.a + i * t.a_row + k);
      acc[i][0] = _mm256_fmadd_ps(a, b0, acc[i][0]);
      acc[i][1] = _mm256_fmadd_ps(a, b1, acc[i][1]);
    }
  }
  const __m256 alpha = _mm256_set1_ps(t.alpha);
#pragma GCC unroll 6
  for (int i = 0; i < kRows; ++i)
    for (int half = 0; half < 2; ++half) {
      alignas(32) float lanes[8];
      _mm256_store_ps(lanes, _mm256_mul_ps(alpha, acc[i][half]));
      const int64_t column = first + 8 * half;
      for (int64_t j = 0; j < 8 && column + j < t.columns; ++j) t.c[i * t.c_row + column + j] = lanes[j];
    }
}

template <int kRows>
void strips(const TileF32& t) {
  for (int64_t first = 0; first < t.columns; first += 16) strip<kRows>(t, first);
}

}  // namespace

void tile_f32_avx2(const TileF32& t) {
  switch (t.rows) {
    case 1:
      return strips<1>(t);
    case 2:
      return strips<2>(t);
    case 3:
      return strips<3>(t);
    case 4:
      return strips<4>(t);
    case 5:
      return strips<5>(t);
    default:
      return strips<6>(t);
  }
}

}  // namespace narrow::kernels
