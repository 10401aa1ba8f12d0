// byte_function.h for 32 positions at a time. For files with the AVX-512 flags (BW); everything is local to
// the including file.
#pragma once

#include "kernels/byte_function.h"
#include "kernels/math/simd_avx512.h"

namespace narrow::kernels {
namespace {

/// Positions, words, to y >> 7: what is left is to saturate to signed bytes, and to flip the top bit of those
/// of u8.
inline __attribute__((always_inline)) __m512i function_words(const ByteFunction& f, __m512i position) {
  const __m512i piece = _mm512_srli_epi16(position, 11);
  const __m512i u =
      _mm512_xor_si512(_mm512_slli_epi16(position, 5), _mm512_set1_epi16(static_cast<int16_t>(0x8000)));
  const __m512i curve = _mm512_permutexvar_epi16(piece, _mm512_load_si512(f.curve)),
                slope = _mm512_permutexvar_epi16(piece, _mm512_load_si512(f.slope)),
                constant = _mm512_permutexvar_epi16(piece, _mm512_load_si512(f.constant));
  const __m512i steep = _mm512_adds_epi16(slope, _mm512_mulhrs_epi16(u, curve));
  return _mm512_srai_epi16(_mm512_adds_epi16(constant, _mm512_mulhrs_epi16(u, steep)), 7);
}

/// Sixteen positions, one a lane, to what is stored, one a lane.
inline __attribute__((always_inline)) __m512i function_lanes(const ByteFunction& f, __m512i position,
                                                             bool is_unsigned) {
  const __m512i words = function_words(f, _mm512_castsi256_si512(_mm512_cvtsepi32_epi16(position)));
  const __m512i y = _mm512_cvtepi16_epi32(_mm512_castsi512_si256(words));
  const __m512i byte = _mm512_max_epi32(_mm512_min_epi32(y, _mm512_set1_epi32(127)), _mm512_set1_epi32(-128));
  return _mm512_add_epi32(byte, _mm512_set1_epi32(is_unsigned ? 128 : 0));
}

}  // namespace
}  // namespace narrow::kernels
