// What the int8 kernels on 256 bits share: how four bytes are read, and how sums leave, bytes sixteen columns
// at a time, everything else element by element.
#pragma once

#include <immintrin.h>

#include "kernels/conv/s8_task.h"

#define NARROW_S8_INLINE inline __attribute__((always_inline))

namespace narrow::kernels {
namespace {

NARROW_S8_INLINE int32_t load_four(const uint8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return four;
}

NARROW_S8_INLINE __m256i load_residual(DType type, const uint8_t* p) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return type == DType::u8 ? _mm256_cvtepu8_epi32(bytes) : _mm256_cvtepi8_epi32(bytes);
}

/// Eight sums of pixel element `at` to integers, not yet bounded.
NARROW_S8_INLINE __m256i finish_eight(const S8Finish& f, const int32_t* c, const float* scale, int64_t at) {
  const __m256 sum = _mm256_cvtepi32_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(c)));
  const __m256 r = _mm256_mul_ps(sum, _mm256_loadu_ps(scale));
  if (f.residual_type == DType::undefined) return _mm256_cvtps_epi32(r);
  const __m256i added = load_residual(f.residual_type, static_cast<const uint8_t*>(f.residual) + at);
  const __m256 x = _mm256_cvtepi32_ps(_mm256_sub_epi32(added, _mm256_set1_epi32(f.residual_zero)));
  return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_fmadd_ps(x, _mm256_set1_ps(f.residual_scale), r),
                                          _mm256_set1_ps(f.inverse_out_scale)));
}

/// Sixteen columns, integer dst, bounds only; the order of saturations as in s8_finish_avx512.h.
inline void finish_bytes(const S8Finish& f, const ConvRows& rows, const S8Sums& s) {
  const __m256i zero = _mm256_set1_epi16(static_cast<int16_t>(f.out_zero));
  const __m128i low = _mm_set1_epi8(static_cast<char>(f.low)),
                high = _mm_set1_epi8(static_cast<char>(f.high));
  for (int64_t i = 0; i < rows.count; ++i) {
    const int64_t at = rows.element[i] + s.channel;
    const int32_t* c = s.c + rows.sums[i];
    const float* scale = f.scale + s.at;
    const __m256i words =
        _mm256_packs_epi32(finish_eight(f, c, scale, at), finish_eight(f, c + 8, scale + 8, at + 8));
    const __m256i q = _mm256_adds_epi16(_mm256_permute4x64_epi64(words, 0xd8), zero);
    const __m128i q0 = _mm256_castsi256_si128(q), q1 = _mm256_extracti128_si256(q, 1);
    const __m128i bytes = f.dst_type == DType::u8
                              ? _mm_max_epu8(_mm_min_epu8(_mm_packus_epi16(q0, q1), high), low)
                              : _mm_max_epi8(_mm_min_epi8(_mm_packs_epi16(q0, q1), high), low);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(static_cast<uint8_t*>(f.dst) + at), bytes);
  }
}

NARROW_S8_INLINE void s8_finish_avx2(const S8Finish& f, const ConvRows& rows, const S8Sums& s) {
  if (f.stays_in_bytes && s.columns == 16)
    finish_bytes(f, rows, s);
  else
    s8_finish_plain(f, rows, s);
}

}  // namespace
}  // namespace narrow::kernels
