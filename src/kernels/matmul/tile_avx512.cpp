#include "kernels/lanes/lanes_avx512.h"
#include "kernels/matmul/tile.h"

// GCC at -O2 keeps arrays of registers in memory unless the loops over them are unrolled.
namespace narrow::kernels {
namespace {

template <int kRows, int kVectors>
void tile(const TileF32& t) {
  __m512 acc[kRows][kVectors];
#pragma GCC unroll 6
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) acc[i][v] = _mm512_setzero_ps();
  for (int64_t k = 0; k < t.k; ++k) {
    __m512 b[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) b[v] = _mm512_loadu_ps(t.b + k * kPanel + 16 * v);
#pragma GCC unroll 6
    for (int i = 0; i < kRows; ++i) {
      const __m512 a = _mm512_set1_ps(t.a[i * t.a_row + k]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) acc[i][v] = _mm512_fmadd_ps(a, b[v], acc[i][v]);
    }
  }
  const __m512 alpha = _mm512_set1_ps(t.alpha);
#pragma GCC unroll 6
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v)
      _mm512_mask_storeu_ps(t.c + i * t.c_row + 16 * v, first_lanes16(t.columns - 16 * v),
                            _mm512_mul_ps(alpha, acc[i][v]));
}

template <int kRows>
void tile_of_rows(const TileF32& t) {
  if (t.columns > 48) return tile<kRows, 4>(t);
  if (t.columns > 32) return tile<kRows, 3>(t);
  if (t.columns > 16) return tile<kRows, 2>(t);
  tile<kRows, 1>(t);
}

}  // namespace

void tile_f32_avx512(const TileF32& t) {
  switch (t.rows) {
    case 1:
      return tile_of_rows<1>(t);
    case 2:
      return tile_of_rows<2>(t);
    case 3:
      return tile_of_rows<3>(t);
    case 4:
      return tile_of_rows<4>(t);
    case 5:
      return tile_of_rows<5>(t);
    default:
      return tile_of_rows<6>(t);
  }
}

void pack_pairs_avx512(const uint16_t* even, const uint16_t* odd, int64_t columns, uint16_t* dst) {
  const __mmask16 live = first_lanes16(columns);
  const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(live, even));
  const __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(live, odd));
  _mm512_storeu_si512(dst, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}

}  // namespace narrow::kernels
