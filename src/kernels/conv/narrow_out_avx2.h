// Eight results on their way out: residual, any stored type. For files with the AVX2 flags; everything is
// local to the including file. The formulas are those of kernels/requantize.h.
#pragma once

#include "kernels/conv/narrow_inline.h"
#include "kernels/math/vmath_avx2.h"
#include "kernels/tensor_quant.h"
#include "tensor/dtype.h"

namespace narrow::kernels {
namespace {

/// An integer destination's factor and bounds.
struct IntegerStore {
  float factor = 1;  // 1 / scale, or 1
  int32_t zero_point = 0, low = 0, high = 0;
};

/// round_and_clamp(r * factor): NaN gives low.
NARROW_INLINE __m256i round_lanes(__m256 r, const IntegerStore& q) {
  r = _mm256_mul_ps(r, _mm256_set1_ps(q.factor));
  r = _mm256_min_ps(_mm256_max_ps(r, _mm256_set1_ps(-16777216.0F)), _mm256_set1_ps(16777216.0F));
  const __m256i i = _mm256_add_epi32(_mm256_cvtps_epi32(r), _mm256_set1_epi32(q.zero_point));
  return _mm256_min_epi32(_mm256_max_epi32(i, _mm256_set1_epi32(q.low)), _mm256_set1_epi32(q.high));
}

/// The first `live` bytes.
NARROW_INLINE void store_some(__m128i bytes, int64_t live, uint8_t* out) {
  if (live >= 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes);
    return;
  }
  alignas(16) uint8_t tail[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(tail), bytes);
  for (int64_t i = 0; i < live; ++i) out[i] = tail[i];
}

/// Integers within the type's bounds to as many bytes.
NARROW_INLINE __m128i to_bytes(__m256i q) {
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
  const __m128i low = _mm_and_si128(words, _mm_set1_epi16(0xff));
  return _mm_packus_epi16(low, low);
}

inline __m256 load_bytes_as_float(DType type, int32_t zero_point, const uint8_t* src, int64_t live) {
  alignas(16) uint8_t tail[16] = {};
  for (int64_t i = 0; i < live; ++i) tail[i] = src[i];
  const __m128i bytes = _mm_load_si128(reinterpret_cast<const __m128i*>(tail));
  const __m256i q = type == DType::u8 ? _mm256_cvtepu8_epi32(bytes) : _mm256_cvtepi8_epi32(bytes);
  return _mm256_cvtepi32_ps(_mm256_sub_epi32(q, _mm256_set1_epi32(zero_point)));
}

/// r + residual of elements i .. i + live; integers by one fused multiply-add.
inline __m256 add_residual_lanes(DType type, const void* p, int64_t i, int64_t live, const TensorQuant& quant,
                                 __m256 r) {
  const auto lanes = Simd256::first(live);
  switch (type) {
    case DType::undefined:
      return r;
    case DType::f32:
      return _mm256_add_ps(r, Simd256::load(static_cast<const float*>(p) + i, lanes));
    case DType::bf16:
      return _mm256_add_ps(r, Simd256::load_bf16(static_cast<const uint16_t*>(p) + i, lanes));
    case DType::f16:
      return _mm256_add_ps(r, Simd256::load_f16(static_cast<const uint16_t*>(p) + i, lanes));
    default:
      break;
  }
  const __m256 real = load_bytes_as_float(type, quant.zero_point, static_cast<const uint8_t*>(p) + i, live);
  return _mm256_fmadd_ps(real, _mm256_set1_ps(quant.scale), r);
}

/// Elements i .. i + live of dst.
inline void store_lanes(DType type, void* dst, int64_t i, int64_t live, __m256 r, const IntegerStore& q) {
  const auto lanes = Simd256::first(live);
  switch (type) {
    case DType::f32:
      return Simd256::store(static_cast<float*>(dst) + i, lanes, r);
    case DType::bf16:
      return Simd256::store_bf16(static_cast<uint16_t*>(dst) + i, lanes, r);
    case DType::f16:
      return Simd256::store_f16(static_cast<uint16_t*>(dst) + i, lanes, r);
    default:
      store_some(to_bytes(round_lanes(r, q)), live, static_cast<uint8_t*>(dst) + i);
  }
}

}  // namespace
}  // namespace narrow::kernels
