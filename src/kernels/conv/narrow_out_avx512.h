// Sixteen results on their way out: residual, activation, any stored type. For files with the AVX-512 flags;
// everything is local to the including file. The formulas are those of kernels/requantize.h.
#pragma once

#include "kernels/conv/narrow_inline.h"
#include "kernels/math/vmath_avx512.h"
#include "kernels/tensor_quant.h"
#include "tensor/dtype.h"

namespace narrow::kernels {
namespace {

/// An integer destination's factor and bounds.
struct IntegerStore {
  float factor = 1;  // 1 / scale, or the whole multiplier
  int32_t zero_point = 0, low = 0, high = 0;
};

NARROW_INLINE __mmask32 first_lanes32(int64_t n) { return n >= 32 ? 0xffffffffU : (1U << n) - 1U; }

NARROW_INLINE __mmask16 first_lanes16(int64_t n) {
  if (n <= 0) return 0;
  return n >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1U << n) - 1U);
}

/// round_and_clamp(r * factor): NaN gives low.
NARROW_INLINE __m512i round_lanes(__m512 r, const IntegerStore& q) {
  r = _mm512_mul_ps(r, _mm512_set1_ps(q.factor));
  r = _mm512_min_ps(_mm512_max_ps(r, _mm512_set1_ps(-16777216.0F)), _mm512_set1_ps(16777216.0F));
  const __m512i i = _mm512_add_epi32(_mm512_cvtps_epi32(r), _mm512_set1_epi32(q.zero_point));
  return _mm512_min_epi32(_mm512_max_epi32(i, _mm512_set1_epi32(q.low)), _mm512_set1_epi32(q.high));
}

NARROW_INLINE __m256i to_bf16_lanes(__m512 r) {
#ifdef __AVX512BF16__
  return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(r));  // as below, but subnormals become zero
#else
  return Simd512::to_bf16(r);
#endif
}

NARROW_INLINE void store_lanes(DType type, void* dst, int64_t i, __mmask16 live, __m512 r,
                               const IntegerStore& q) {
  switch (type) {
    case DType::f32:
      _mm512_mask_storeu_ps(static_cast<float*>(dst) + i, live, r);
      break;
    case DType::bf16:
      _mm256_mask_storeu_epi16(static_cast<uint16_t*>(dst) + i, live, to_bf16_lanes(r));
      break;
    case DType::f16:
      _mm256_mask_storeu_epi16(static_cast<uint16_t*>(dst) + i, live, Simd512::to_f16(r));
      break;
    default:
      _mm_mask_storeu_epi8(static_cast<int8_t*>(dst) + i, live, _mm512_cvtepi32_epi8(round_lanes(r, q)));
  }
}

/// r + residual; integers by one fused multiply-add.
NARROW_INLINE __m512 add_residual_lanes(DType type, const void* p, int64_t i, __mmask16 live,
                                        const TensorQuant& quant, __m512 r) {
  switch (type) {
    case DType::undefined:
      return r;
    case DType::f32:
      return _mm512_add_ps(r, _mm512_maskz_loadu_ps(live, static_cast<const float*>(p) + i));
    case DType::bf16:
      return _mm512_add_ps(r, Simd512::load_bf16(static_cast<const uint16_t*>(p) + i, live));
    case DType::f16:
      return _mm512_add_ps(r, Simd512::load_f16(static_cast<const uint16_t*>(p) + i, live));
    default:
      break;
  }
  const __m128i bytes = _mm_maskz_loadu_epi8(live, static_cast<const int8_t*>(p) + i);
  const __m512i q = type == DType::u8 ? _mm512_cvtepu8_epi32(bytes) : _mm512_cvtepi8_epi32(bytes);
  const __m512 real = _mm512_cvtepi32_ps(_mm512_sub_epi32(q, _mm512_set1_epi32(quant.zero_point)));
  return _mm512_fmadd_ps(real, _mm512_set1_ps(quant.scale), r);
}

}  // namespace
}  // namespace narrow::kernels
