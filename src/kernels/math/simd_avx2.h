// Eight floats as one value, for kernel files compiled with the AVX2 flags (suffix _avx2).
// Everything is local to the including file, so no copy of it can reach code for other processors.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace narrow::kernels {
namespace {

struct Simd256 {
  using F = __m256;
  using Mask = int;  // live lanes, 0..8
  static constexpr int kLanes = 8;

  static inline F zero() { return _mm256_setzero_ps(); }
  static inline F set1(float x) { return _mm256_set1_ps(x); }
  static inline F load(const float* p) { return _mm256_loadu_ps(p); }
  static inline void store(float* p, F x) { _mm256_storeu_ps(p, x); }
  static inline F add(F a, F b) { return _mm256_add_ps(a, b); }
  static inline F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static inline F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static inline F div(F a, F b) { return _mm256_div_ps(a, b); }
  static inline F sqrt(F a) { return _mm256_sqrt_ps(a); }
  static inline F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  /// a < b ? a : b and a > b ? a : b: the second operand when either is NaN.
  static inline F min(F a, F b) { return _mm256_min_ps(a, b); }
  static inline F max(F a, F b) { return _mm256_max_ps(a, b); }
  static inline F round(F x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  /// a * 2^n for whole n in [-252, 254], in two factors so that neither leaves the range; rounds into the
  /// subnormals.
  static inline F ldexp(F a, F n) {
    const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    return mul(mul(a, power_of_two(half)), power_of_two(_mm256_sub_epi32(whole, half)));
  }
  /// x >= 0 ? a : b; NaN gives b.
  static inline F where_positive(F x, F a, F b) {
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, zero(), _CMP_GE_OQ));
  }
  /// x >= y ? a : b; NaN gives b.
  static inline F where_not_less(F x, F y, F a, F b) {
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, y, _CMP_GE_OQ));
  }

  /// The first n lanes, 0 <= n <= 8.
  static inline Mask first(int64_t n) { return static_cast<Mask>(n); }
  static inline F load(const float* p, Mask m) {
    return m == kLanes ? load(p) : _mm256_maskload_ps(p, lanes(m));
  }
  static inline void store(float* p, Mask m, F x) {
    if (m == kLanes)
      store(p, x);
    else
      _mm256_maskstore_ps(p, lanes(m), x);
  }

  static inline F from_f16(__m128i h) { return _mm256_cvtph_ps(h); }
  static inline F from_bf16(__m128i b) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(b), 16));
  }
  static inline __m128i to_f16(F x) { return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT); }
  /// Nearest even; NaN keeps its upper bits and turns quiet, as numerics/float_formats.h does it.
  static inline __m128i to_bf16(F x) {
    const __m256i u = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i wide = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
  }
  static inline F load_f16(const uint16_t* p, Mask m) { return from_f16(load_halves(p, m)); }
  static inline F load_bf16(const uint16_t* p, Mask m) { return from_bf16(load_halves(p, m)); }
  static inline void store_f16(uint16_t* p, Mask m, F x) { store_halves(p, m, to_f16(x)); }
  static inline void store_bf16(uint16_t* p, Mask m, F x) { store_halves(p, m, to_bf16(x)); }

 private:
  static inline F power_of_two(__m256i n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
  }
  static inline __m256i lanes(Mask m) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(m), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static inline __m128i load_halves(const uint16_t* p, Mask m) {
    if (m == kLanes) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    alignas(16) uint16_t h[8] = {};
    for (int i = 0; i < m; ++i) h[i] = p[i];
    return _mm_load_si128(reinterpret_cast<const __m128i*>(h));
  }
  static inline void store_halves(uint16_t* p, Mask m, __m128i x) {
    if (m == kLanes) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(p), x);
      return;
    }
    alignas(16) uint16_t h[8];
    _mm_store_si128(reinterpret_cast<__m128i*>(h), x);
    for (int i = 0; i < m; ++i) p[i] = h[i];
  }
};

}  // namespace
}  // namespace narrow::kernels
