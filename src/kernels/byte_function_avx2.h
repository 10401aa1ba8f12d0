// byte_function.h for 16 positions at a time. For files with the AVX2 flags; everything is local to the
// including file.
#pragma once

#include <immintrin.h>

#include "kernels/byte_function.h"

namespace narrow::kernels {
namespace {

/// Which of 32 words is wanted, for byte shuffles of 16 of them: those of the other half give 0.
struct WordPlaces {
  __m256i low_first, low_second, high_first, high_second;  // for the words' low and high bytes
};

inline __attribute__((always_inline)) WordPlaces word_places(__m256i index) {
  // 0x70 more than an index has its top bit set from 16 on, 16 less up to 15.
  const __m256i first = _mm256_add_epi16(index, _mm256_set1_epi16(0x70)),
                second =
                    _mm256_and_si256(_mm256_sub_epi16(index, _mm256_set1_epi16(16)), _mm256_set1_epi16(0xff));
  const __m256i no_high = _mm256_set1_epi16(static_cast<int16_t>(0x8000)), no_low = _mm256_set1_epi16(0x80);
  return {_mm256_or_si256(first, no_high), _mm256_or_si256(second, no_high),
          _mm256_or_si256(_mm256_slli_epi16(first, 8), no_low),
          _mm256_or_si256(_mm256_slli_epi16(second, 8), no_low)};
}

/// The bytes of 32 words by their place: low ones, then high ones.
struct WordTable {
  __m256i low_first, low_second, high_first, high_second;
};

inline __attribute__((always_inline)) WordTable word_table(const int16_t* words) {
  const __m256i first = _mm256_load_si256(reinterpret_cast<const __m256i*>(words)),
                second = _mm256_load_si256(reinterpret_cast<const __m256i*>(words + 16));
  const __m256i low = _mm256_set1_epi16(0xff);
  const __m256i lows = _mm256_permute4x64_epi64(
      _mm256_packus_epi16(_mm256_and_si256(first, low), _mm256_and_si256(second, low)), 0xd8);
  const __m256i highs = _mm256_permute4x64_epi64(
      _mm256_packus_epi16(_mm256_srli_epi16(first, 8), _mm256_srli_epi16(second, 8)), 0xd8);
  return {_mm256_permute2x128_si256(lows, lows, 0x00), _mm256_permute2x128_si256(lows, lows, 0x11),
          _mm256_permute2x128_si256(highs, highs, 0x00), _mm256_permute2x128_si256(highs, highs, 0x11)};
}

inline __attribute__((always_inline)) __m256i words_at(const WordTable& table, const WordPlaces& at) {
  const __m256i low = _mm256_or_si256(_mm256_shuffle_epi8(table.low_first, at.low_first),
                                      _mm256_shuffle_epi8(table.low_second, at.low_second));
  const __m256i high = _mm256_or_si256(_mm256_shuffle_epi8(table.high_first, at.high_first),
                                       _mm256_shuffle_epi8(table.high_second, at.high_second));
  return _mm256_or_si256(low, high);
}

/// A function's tables as this instruction set reads them; made where many positions follow.
struct FunctionTables {
  WordTable constant, slope, curve;
};

inline __attribute__((always_inline)) FunctionTables function_tables(const ByteFunction& f) {
  return {word_table(f.constant), word_table(f.slope), word_table(f.curve)};
}

/// Positions, words, to y >> 7: what is left is to saturate to signed bytes, and to flip the top bit of those
/// of u8.
inline __attribute__((always_inline)) __m256i function_words(const FunctionTables& f, __m256i position) {
  const WordPlaces piece = word_places(_mm256_srli_epi16(position, 11));
  const __m256i u =
      _mm256_xor_si256(_mm256_slli_epi16(position, 5), _mm256_set1_epi16(static_cast<int16_t>(0x8000)));
  const __m256i steep =
      _mm256_adds_epi16(words_at(f.slope, piece), _mm256_mulhrs_epi16(u, words_at(f.curve, piece)));
  return _mm256_srai_epi16(_mm256_adds_epi16(words_at(f.constant, piece), _mm256_mulhrs_epi16(u, steep)), 7);
}

}  // namespace
}  // namespace narrow::kernels
