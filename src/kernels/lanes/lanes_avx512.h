// Sixteen elements of any type to and from FP32 in one register. Only for files compiled for AVX-512;
// everything is local to the file that includes it, so that no copy is shared with code for lesser machines.
#pragma once

#include <cstdint>

#include "kernels/lanes/lanes.h"
#include "kernels/math/simd_avx512.h"

namespace narrow::kernels {
namespace {

#define NARROW_LANE_INLINE inline __attribute__((always_inline))

NARROW_LANE_INLINE __mmask16 first_lanes16(int64_t n) {
  return n >= 16 ? __mmask16{0xffff} : static_cast<__mmask16>((1U << n) - 1U);
}
NARROW_LANE_INLINE __mmask64 first_lanes64(int64_t n) {
  return n >= 64 ? ~__mmask64{0} : (__mmask64{1} << n) - 1U;
}

/// Constants of a quantization, one register each.
struct QuantLanes {
  __m512 scale, inverse;
  __m512i zero_point;
};
NARROW_LANE_INLINE QuantLanes quant_lanes(const LaneQuant& q) {
  return {_mm512_set1_ps(q.scale), _mm512_set1_ps(q.inverse), _mm512_set1_epi32(q.zero_point)};
}

/// round_and_clamp (kernels/requantize.h) of x, already divided by the scale. NaN takes the second operand of
/// max.
NARROW_LANE_INLINE __m512i round_lanes(__m512 x, __m512i zero_point) {
  const __m512 low = _mm512_set1_ps(-16777216.0F), high = _mm512_set1_ps(16777216.0F);
  return _mm512_add_epi32(_mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(x, low), high)), zero_point);
}

template <DType kType>
NARROW_LANE_INLINE __m512i load_ints16(const void* src, int64_t i, __mmask16 live) {
  const __m128i bytes = _mm_maskz_loadu_epi8(live, static_cast<const uint8_t*>(src) + i);
  return kType == DType::u8 ? _mm512_cvtepu8_epi32(bytes) : _mm512_cvtepi8_epi32(bytes);
}

/// Saturates.
template <DType kType>
NARROW_LANE_INLINE void store_ints16(void* dst, int64_t i, __mmask16 live, __m512i q) {
  const __m128i bytes = kType == DType::u8
                            ? _mm512_cvtusepi32_epi8(_mm512_max_epi32(q, _mm512_setzero_si512()))
                            : _mm512_cvtsepi32_epi8(q);
  _mm_mask_storeu_epi8(static_cast<uint8_t*>(dst) + i, live, bytes);
}

template <DType kType>
NARROW_LANE_INLINE __m512 load16(const void* src, int64_t i, __mmask16 live, const QuantLanes& q) {
  if constexpr (kType == DType::f32) return _mm512_maskz_loadu_ps(live, static_cast<const float*>(src) + i);
  if constexpr (kType == DType::bf16)
    return Simd512::from_bf16(_mm256_maskz_loadu_epi16(live, static_cast<const uint16_t*>(src) + i));
  if constexpr (kType == DType::f16)
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(live, static_cast<const uint16_t*>(src) + i));
  if constexpr (kType == DType::u8 || kType == DType::s8)
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(load_ints16<kType>(src, i, live), q.zero_point)),
                         q.scale);
}

template <DType kType>
NARROW_LANE_INLINE void store16(void* dst, int64_t i, __mmask16 live, __m512 x, const QuantLanes& q) {
  if constexpr (kType == DType::f32) _mm512_mask_storeu_ps(static_cast<float*>(dst) + i, live, x);
  if constexpr (kType == DType::bf16)
    _mm256_mask_storeu_epi16(static_cast<uint16_t*>(dst) + i, live, Simd512::to_bf16(x));
  if constexpr (kType == DType::f16)
    _mm256_mask_storeu_epi16(static_cast<uint16_t*>(dst) + i, live,
                             _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  if constexpr (kType == DType::u8 || kType == DType::s8)
    store_ints16<kType>(dst, i, live, round_lanes(_mm512_mul_ps(x, q.inverse), q.zero_point));
}

}  // namespace
}  // namespace narrow::kernels
