// Sixteen floats as one value, for kernel files compiled with the AVX-512 flags (suffix _avx512 and above).
// Everything is local to the including file, so no copy of it can reach code for other processors.
#pragma once

// GCC 12 takes the "undefined" operand of unmasked intrinsics for a real use (GCC bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#include <cstdint>

namespace narrow::kernels {
namespace {

struct Simd512 {
  using F = __m512;
  using Mask = __mmask16;
  static constexpr int kLanes = 16;

  static inline F zero() { return _mm512_setzero_ps(); }
  static inline F set1(float x) { return _mm512_set1_ps(x); }
  static inline F load(const float* p) { return _mm512_loadu_ps(p); }
  static inline void store(float* p, F x) { _mm512_storeu_ps(p, x); }
  static inline F add(F a, F b) { return _mm512_add_ps(a, b); }
  static inline F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static inline F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static inline F div(F a, F b) { return _mm512_div_ps(a, b); }
  static inline F sqrt(F a) { return _mm512_sqrt_ps(a); }
  static inline F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  /// a < b ? a : b and a > b ? a : b: the second operand when either is NaN.
  static inline F min(F a, F b) { return _mm512_min_ps(a, b); }
  static inline F max(F a, F b) { return _mm512_max_ps(a, b); }
  static inline F round(F x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT); }
  /// a * 2^n for whole n in [-300, 300]; rounds into the subnormals.
  static inline F ldexp(F a, F n) { return _mm512_scalef_ps(a, n); }
  /// x >= 0 ? a : b; NaN gives b.
  static inline F where_positive(F x, F a, F b) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, zero(), _CMP_GE_OQ), b, a);
  }
  /// x >= y ? a : b; NaN gives b.
  static inline F where_not_less(F x, F y, F a, F b) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, y, _CMP_GE_OQ), b, a);
  }

  /// The first n lanes, 0 <= n <= 16.
  static inline Mask first(int64_t n) { return static_cast<Mask>((1U << n) - 1U); }
  static inline F load(const float* p, Mask m) { return _mm512_maskz_loadu_ps(m, p); }
  static inline void store(float* p, Mask m, F x) { _mm512_mask_storeu_ps(p, m, x); }

  static inline F from_f16(__m256i h) { return _mm512_cvtph_ps(h); }
  static inline F from_bf16(__m256i b) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16));
  }
  static inline __m256i to_f16(F x) { return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT); }
  /// Nearest even; NaN keeps its upper bits and turns quiet, as numerics/float_formats.h does it.
  static inline __m256i to_bf16(F x) {
    const __m512i u = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_epi32(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __m512i quiet = _mm512_or_epi32(u, _mm512_set1_epi32(0x400000));
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_mask_blend_epi32(nan, rounded, quiet), 16));
  }
  static inline F load_f16(const uint16_t* p, Mask m) { return from_f16(_mm256_maskz_loadu_epi16(m, p)); }
  static inline F load_bf16(const uint16_t* p, Mask m) { return from_bf16(_mm256_maskz_loadu_epi16(m, p)); }
  static inline void store_f16(uint16_t* p, Mask m, F x) { _mm256_mask_storeu_epi16(p, m, to_f16(x)); }
  static inline void store_bf16(uint16_t* p, Mask m, F x) { _mm256_mask_storeu_epi16(p, m, to_bf16(x)); }
};

}  // namespace
}  // namespace narrow::kernels
