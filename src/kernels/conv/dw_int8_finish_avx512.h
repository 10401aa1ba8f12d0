// Interleaved bytes, and sums of depthwise convolutions on their way out. For files with the AVX-512 flags;
// everything is local to the including file. Lane 4 * l + e of vector v stands for element 16 * l + 4 * v + e
// of 64, and packing the four vectors restores that order.
#pragma once

#include "kernels/byte_function_avx512.h"
#include "kernels/conv/dw_int8.h"
#include "kernels/conv/narrow_out_avx512.h"

namespace narrow::kernels {
namespace {

struct Sums {
  __m512i v[4];
};

NARROW_INLINE __mmask64 first_lanes64(int64_t n) { return n >= 64 ? ~__mmask64{0} : (__mmask64{1} << n) - 1; }

/// Four rows of bytes to 64 lanes of four bytes.
NARROW_INLINE Sums interleave(__m512i r0, __m512i r1, __m512i r2, __m512i r3) {
  const __m512i low01 = _mm512_unpacklo_epi8(r0, r1), high01 = _mm512_unpackhi_epi8(r0, r1);
  const __m512i low23 = _mm512_unpacklo_epi8(r2, r3), high23 = _mm512_unpackhi_epi8(r2, r3);
  return {{_mm512_unpacklo_epi16(low01, low23), _mm512_unpackhi_epi16(low01, low23),
           _mm512_unpacklo_epi16(high01, high23), _mm512_unpackhi_epi16(high01, high23)}};
}

/// clamp(round(sum * multiplier) + zero_point), or the function of that: 64 bytes in the order of memory.
/// Saturation to 16 bits is harmless: bounds are far inside, and a function's positions end there.
NARROW_INLINE __m512i requantize_lanes(const DwInt8Finish& p, const __m512 multiplier[4], const Sums& s) {
  const __m512 limit = _mm512_set1_ps(16777216.0F);
  __m512i q[4];
  NARROW_UNROLL(4)
  for (int v = 0; v < 4; ++v) {
    const __m512 r = _mm512_mul_ps(_mm512_cvtepi32_ps(s.v[v]), multiplier[v]);
    q[v] = _mm512_cvtps_epi32(_mm512_min_ps(limit, r));  // NaN and what is below -2^31 give -2^31
  }
  if (p.function != nullptr) {
    const __m512i first = function_words(*p.function, _mm512_packs_epi32(q[0], q[1])),
                  second = function_words(*p.function, _mm512_packs_epi32(q[2], q[3]));
    const char flip = static_cast<char>(p.dst_type == DType::u8 ? 0x80 : 0);
    return _mm512_xor_si512(_mm512_packs_epi16(first, second), _mm512_set1_epi8(flip));
  }
  const __m512i zero_point = _mm512_set1_epi16(static_cast<int16_t>(p.dst_quant.zero_point));
  const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), zero_point);
  const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(q[2], q[3]), zero_point);
  if (p.dst_type == DType::u8) {
    const __m512i bytes = _mm512_packus_epi16(low, high);
    return _mm512_min_epu8(_mm512_max_epu8(bytes, _mm512_set1_epi8(static_cast<char>(p.low))),
                           _mm512_set1_epi8(static_cast<char>(p.high)));
  }
  const __m512i bytes = _mm512_packs_epi16(low, high);
  return _mm512_min_epi8(_mm512_max_epi8(bytes, _mm512_set1_epi8(static_cast<char>(p.low))),
                         _mm512_set1_epi8(static_cast<char>(p.high)));
}

/// requantize_lanes() where the packing leaves nothing to do.
NARROW_INLINE __m512i lean_lanes(const __m512 multiplier[4], const Sums& s) {
  __m512i q[4];
  NARROW_UNROLL(4)
  for (int v = 0; v < 4; ++v)
    q[v] = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(s.v[v]), multiplier[v]));
  return _mm512_packus_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[3]));
}

/// Residual, any activation, any type: elements at .. at + live, 16 at a time in the order of memory.
void finish_real(const DwInt8Finish& p, const void* residual, void* dst, const float* scale, const Sums& s,
                 int64_t at, int64_t live) {
  const __m512i even0 = _mm512_shuffle_i32x4(s.v[0], s.v[1], 0x44),
                odd0 = _mm512_shuffle_i32x4(s.v[0], s.v[1], 0xee);
  const __m512i even1 = _mm512_shuffle_i32x4(s.v[2], s.v[3], 0x44),
                odd1 = _mm512_shuffle_i32x4(s.v[2], s.v[3], 0xee);
  const __m512i natural[4] = {_mm512_shuffle_i32x4(even0, even1, 0x88),
                              _mm512_shuffle_i32x4(even0, even1, 0xdd),
                              _mm512_shuffle_i32x4(odd0, odd1, 0x88), _mm512_shuffle_i32x4(odd0, odd1, 0xdd)};
  const IntegerStore integer{1.0F / p.dst_quant.scale, p.dst_quant.zero_point, p.low, p.high};
  for (int64_t v = 0; v < 4 && v * 16 < live; ++v) {
    const __mmask16 mask = first_lanes16(live - v * 16);
    __m512 r = _mm512_mul_ps(_mm512_cvtepi32_ps(natural[v]), _mm512_loadu_ps(scale + v * 16));
    r = add_residual_lanes(p.residual_type, residual, at + v * 16, mask, p.residual_quant, r);
    if (p.function != nullptr) {
      const __m512i q = function_lanes(*p.function, round_lanes(r, integer), p.dst_type == DType::u8);
      _mm_mask_storeu_epi8(static_cast<int8_t*>(dst) + at + v * 16, mask, _mm512_cvtepi32_epi8(q));
      continue;
    }
    store_lanes(p.dst_type, dst, at + v * 16, mask, vapply(p.activation, r), integer);
  }
}

}  // namespace
}  // namespace narrow::kernels
