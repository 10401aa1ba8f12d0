// int32 sums to stored elements with AVX-512, equal to kernels/requantize.h bit for bit. Local to the
// including file.
#pragma once

#include "kernels/conv/s8_task.h"
#include "kernels/lanes/lanes_avx512.h"
#include "kernels/math/vmath_avx512.h"

namespace narrow::kernels {
namespace {

/// Four vectors of rounded, unbounded q - zero_point, as 32 columns of two rows, to bytes: both rows' 32
/// bytes in order. Saturating at 16 bits before adding the zero point changes nothing, being far outside the
/// type's range; so does INT_MIN, which the conversion gives for NaN and below -2^31.
struct S8Bytes {
  __m512i zero, low, high;
  bool is_unsigned;

  explicit S8Bytes(const S8Finish& f)
      : zero(_mm512_set1_epi16(static_cast<int16_t>(f.out_zero))),
        low(_mm512_set1_epi8(static_cast<char>(f.low))),
        high(_mm512_set1_epi8(static_cast<char>(f.high))),
        is_unsigned(f.dst_type == DType::u8) {}

  NARROW_LANE_INLINE __m512i operator()(__m512i q00, __m512i q01, __m512i q10, __m512i q11) const {
    const __m512i row0 = _mm512_adds_epi16(_mm512_packs_epi32(q00, q01), zero);
    const __m512i row1 = _mm512_adds_epi16(_mm512_packs_epi32(q10, q11), zero);
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    if (is_unsigned) {
      const __m512i q = _mm512_permutexvar_epi32(order, _mm512_packus_epi16(row0, row1));
      return _mm512_max_epu8(_mm512_min_epu8(q, high), low);
    }
    const __m512i q = _mm512_permutexvar_epi32(order, _mm512_packs_epi16(row0, row1));
    return _mm512_max_epi8(_mm512_min_epi8(q, high), low);
  }
};

/// To the nearest integer; 2^24 bounds what would overflow upwards. NaN and far below become INT_MIN.
NARROW_LANE_INLINE __m512i s8_round(__m512 x) {
  return _mm512_cvtps_epi32(_mm512_min_ps(_mm512_set1_ps(16777216.0F), x));
}

/// Where each row's 32 columns go.
struct S8Store {
  uint8_t* dst;
  int64_t pixel;
  __mmask32 live;
  NARROW_LANE_INLINE void operator()(int64_t at0, int64_t at1, __m512i bytes) const {
    _mm256_mask_storeu_epi8(dst + at0 * pixel, live, _mm512_castsi512_si256(bytes));
    _mm256_mask_storeu_epi8(dst + at1 * pixel, live, _mm512_extracti64x4_epi64(bytes, 1));
  }
};

NARROW_LANE_INLINE __mmask32 first_lanes32(int64_t n) {
  return n >= 32 ? ~__mmask32{0} : (__mmask32{1} << n) - 1U;
}

/// Integer dst, no residual: one product per sum.
void s8_finish_scaled(const S8Finish& f, const S8Rows& rows, const S8Sums& s) {
  const S8Bytes to_bytes(f);
  const S8Store store{static_cast<uint8_t*>(f.dst) + s.channel, f.dst_pixel, first_lanes32(s.columns)};
  const __m512 scale0 = _mm512_loadu_ps(f.scale + s.scale_at),
               scale1 = _mm512_loadu_ps(f.scale + s.scale_at + 16);
  const auto q = [&](int64_t row, int64_t column, __m512 scale) {
    const __m512i sum = _mm512_load_si512(s.c + row * s.stride + column);
    return s8_round(_mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale));
  };
  for (int64_t i = 0; i < rows.count; i += 2) {
    const int64_t j = i + 1 < rows.count ? i + 1 : i;  // an odd last row is done twice
    const int64_t r0 = rows.block_row[i], r1 = rows.block_row[j];
    store(rows.pixel[i], rows.pixel[j],
          to_bytes(q(r0, 0, scale0), q(r0, 16, scale1), q(r1, 0, scale0), q(r1, 16, scale1)));
  }
}

/// Integer dst and residual, bounds only.
template <DType kResidual>
void s8_finish_added(const S8Finish& f, const S8Rows& rows, const S8Sums& s) {
  const S8Bytes to_bytes(f);
  const __mmask32 live = first_lanes32(s.columns);
  const S8Store store{static_cast<uint8_t*>(f.dst) + s.channel, f.dst_pixel, live};
  const auto* residual = static_cast<const uint8_t*>(f.residual) + s.channel;
  const __m512 scale0 = _mm512_loadu_ps(f.scale + s.scale_at),
               scale1 = _mm512_loadu_ps(f.scale + s.scale_at + 16);
  const __m512 residual_scale = _mm512_set1_ps(f.residual_scale),
               inverse = _mm512_set1_ps(f.inverse_out_scale);
  const __m512i residual_zero = _mm512_set1_epi32(f.residual_zero);
  const auto q = [&](int64_t row, int64_t column, __m512 scale, __m128i bytes) {
    const __m512i added = kResidual == DType::u8 ? _mm512_cvtepu8_epi32(bytes) : _mm512_cvtepi8_epi32(bytes);
    const __m512i sum = _mm512_load_si512(s.c + row * s.stride + column);
    const __m512 r = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale);
    const __m512 x = _mm512_cvtepi32_ps(_mm512_sub_epi32(added, residual_zero));
    return s8_round(_mm512_mul_ps(_mm512_fmadd_ps(x, residual_scale, r), inverse));
  };
  for (int64_t i = 0; i < rows.count; i += 2) {
    const int64_t j = i + 1 < rows.count ? i + 1 : i;
    const int64_t r0 = rows.block_row[i], r1 = rows.block_row[j];
    const __m256i x0 = _mm256_maskz_loadu_epi8(live, residual + rows.pixel[i] * f.dst_pixel);
    const __m256i x1 = _mm256_maskz_loadu_epi8(live, residual + rows.pixel[j] * f.dst_pixel);
    const __m512i q00 = q(r0, 0, scale0, _mm256_castsi256_si128(x0));
    const __m512i q01 = q(r0, 16, scale1, _mm256_extracti128_si256(x0, 1));
    const __m512i q10 = q(r1, 0, scale0, _mm256_castsi256_si128(x1));
    const __m512i q11 = q(r1, 16, scale1, _mm256_extracti128_si256(x1, 1));
    store(rows.pixel[i], rows.pixel[j], to_bytes(q00, q01, q10, q11));
  }
}

const QuantLanes kNoQuant{};  // load16 and store16 want one for floats too

NARROW_LANE_INLINE __m512 s8_add_residual(const S8Finish& f, int64_t at, __mmask16 live, __m512 r) {
  const __m512i zero = _mm512_set1_epi32(f.residual_zero);
  const __m512 scale = _mm512_set1_ps(f.residual_scale);
  switch (f.residual_type) {
    case DType::f32:
      return _mm512_add_ps(r, load16<DType::f32>(f.residual, at, live, kNoQuant));
    case DType::bf16:
      return _mm512_add_ps(r, load16<DType::bf16>(f.residual, at, live, kNoQuant));
    case DType::f16:
      return _mm512_add_ps(r, load16<DType::f16>(f.residual, at, live, kNoQuant));
    case DType::u8:
      return _mm512_fmadd_ps(
          _mm512_cvtepi32_ps(_mm512_sub_epi32(load_ints16<DType::u8>(f.residual, at, live), zero)), scale, r);
    case DType::s8:
      return _mm512_fmadd_ps(
          _mm512_cvtepi32_ps(_mm512_sub_epi32(load_ints16<DType::s8>(f.residual, at, live), zero)), scale, r);
    default:
      return r;
  }
}

NARROW_LANE_INLINE void s8_store(const S8Finish& f, int64_t at, __mmask16 live, __m512 r) {
  if (f.dst_type == DType::f32) return store16<DType::f32>(f.dst, at, live, r, kNoQuant);
  if (f.dst_type == DType::bf16) return store16<DType::bf16>(f.dst, at, live, r, kNoQuant);
  if (f.dst_type == DType::f16) return store16<DType::f16>(f.dst, at, live, r, kNoQuant);
  const __m512i q =
      round_lanes(_mm512_mul_ps(r, _mm512_set1_ps(f.inverse_out_scale)), _mm512_set1_epi32(f.out_zero));
  const __m512i bounded =
      _mm512_max_epi32(_mm512_min_epi32(q, _mm512_set1_epi32(f.high)), _mm512_set1_epi32(f.low));
  _mm_mask_storeu_epi8(static_cast<uint8_t*>(f.dst) + at, live, _mm512_cvtepi32_epi8(bounded));
}

/// Any types, any activation.
void s8_finish_any(const S8Finish& f, const S8Rows& rows, const S8Sums& s) {
  for (int64_t i = 0; i < rows.count; ++i)
    for (int64_t column = 0; column < s.columns; column += 16) {
      const __mmask16 live = first_lanes16(s.columns - column);
      const int64_t at = rows.pixel[i] * f.dst_pixel + s.channel + column;
      const __m512i sum = _mm512_load_si512(s.c + rows.block_row[i] * s.stride + column);
      const __m512 r = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(f.scale + s.scale_at + column));
      s8_store(f, at, live, vapply(f.activation, s8_add_residual(f, at, live, r)));
    }
}

/// Tiles of 32 columns.
void s8_finish_avx512(const S8Finish& f, const S8Rows& rows, const S8Sums& s) {
  if (f.clamps && f.residual_type == DType::undefined) return s8_finish_scaled(f, rows, s);
  if (f.clamps && f.residual_type == DType::u8) return s8_finish_added<DType::u8>(f, rows, s);
  if (f.clamps && f.residual_type == DType::s8) return s8_finish_added<DType::s8>(f, rows, s);
  s8_finish_any(f, rows, s);
}

}  // namespace
}  // namespace narrow::kernels
