// What the int8 kernels on 256 bits share: their tile of 6 x 16 sums, and how sums leave, bytes sixteen
// columns at a time, everything else eight.
#pragma once

#include <immintrin.h>

#include "kernels/byte_function_avx2.h"
#include "kernels/conv/narrow_out_avx2.h"
#include "kernels/conv/s8_task.h"

namespace narrow::kernels {
namespace {

NARROW_INLINE __m256i load_residual(DType type, const uint8_t* p) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return type == DType::u8 ? _mm256_cvtepu8_epi32(bytes) : _mm256_cvtepi8_epi32(bytes);
}

/// Eight sums to integers, not yet bounded; all scales are one factor.
NARROW_INLINE __m256i scaled(const int32_t* c, const float* scale) {
  const __m256 sum = _mm256_cvtepi32_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(c)));
  return _mm256_cvtps_epi32(_mm256_mul_ps(sum, _mm256_loadu_ps(scale)));
}

/// The same with the residual of pixel element `at`.
NARROW_INLINE __m256i finish_eight(const S8Finish& f, const int32_t* c, const float* scale, int64_t at) {
  if (f.residual_type == DType::undefined) return scaled(c, scale);
  const __m256 sum = _mm256_cvtepi32_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(c)));
  const __m256i added = load_residual(f.residual_type, static_cast<const uint8_t*>(f.residual) + at);
  const __m256 x = _mm256_cvtepi32_ps(_mm256_sub_epi32(added, _mm256_set1_epi32(f.residual_zero)));
  const __m256 r = _mm256_mul_ps(sum, _mm256_loadu_ps(scale));
  return _mm256_cvtps_epi32(_mm256_fmadd_ps(x, _mm256_set1_ps(f.residual_scale), r));
}

/// The same with a residual of u8 without a zero point, or with none.
template <bool kResidual>
NARROW_INLINE __m256i finish_eight_u8(const S8Finish& f, const int32_t* c, const float* scale, int64_t at) {
  if (!kResidual) return scaled(c, scale);
  const __m256 sum = _mm256_cvtepi32_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(c)));
  const uint8_t* residual = static_cast<const uint8_t*>(f.residual) + at;
  const __m256 x =
      _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(residual))));
  return _mm256_cvtps_epi32(
      _mm256_fmadd_ps(x, _mm256_set1_ps(f.residual_scale), _mm256_mul_ps(sum, _mm256_loadu_ps(scale))));
}

/// Sixteen columns of u8 without a zero point or bounds of its own, two pixels at a time.
template <bool kResidual>
void finish_u8(const S8Finish& f, const ConvRows& rows, const S8Sums& s) {
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);  // packing goes by halves
  const float* scale = f.scale + s.at;
  auto* dst = static_cast<uint8_t*>(f.dst);
  const auto words = [&](int64_t i) __attribute__((always_inline)) {
    const int64_t at = rows.element[i] + s.channel;
    const int32_t* c = s.c + rows.sums[i];
    return _mm256_packs_epi32(finish_eight_u8<kResidual>(f, c, scale, at),
                              finish_eight_u8<kResidual>(f, c + 8, scale + 8, at + 8));
  };
  for (int64_t i = 0; i < rows.count; i += 2) {
    const int64_t j = i + 1 < rows.count ? i + 1 : i;
    const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(words(i), words(j)), order);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + rows.element[i] + s.channel),
                     _mm256_castsi256_si128(bytes));
    if (j > i)
      _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + rows.element[j] + s.channel),
                       _mm256_extracti128_si256(bytes, 1));
  }
}

/// Sixteen columns, integer dst, bounds only; the order of saturations as in s8_finish_avx512.h.
inline void finish_bytes(const S8Finish& f, const ConvRows& rows, const S8Sums& s) {
  const bool plain = f.dst_type == DType::u8 && f.out_zero == 0 && f.low == 0 && f.high == 255;
  if (plain && f.residual_type == DType::undefined) return finish_u8<false>(f, rows, s);
  if (plain && f.residual_type == DType::u8 && f.residual_zero == 0) return finish_u8<true>(f, rows, s);
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

/// Sixteen columns through a function.
inline void finish_function(const S8Finish& f, const ConvRows& rows, const S8Sums& s) {
  const FunctionTables tables = function_tables(*f.function);
  const __m128i flip = _mm_set1_epi8(static_cast<char>(f.dst_type == DType::u8 ? 0x80 : 0));
  const float* scale = f.scale + s.at;
  for (int64_t i = 0; i < rows.count; ++i) {
    const int64_t at = rows.element[i] + s.channel;
    const int32_t* c = s.c + rows.sums[i];
    const __m256i words =
        _mm256_packs_epi32(finish_eight(f, c, scale, at), finish_eight(f, c + 8, scale + 8, at + 8));
    const __m256i q = _mm256_permute4x64_epi64(function_words(tables, words), 0xd8);
    const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(static_cast<uint8_t*>(f.dst) + at),
                     _mm_xor_si128(bytes, flip));
  }
}

/// Eight positions to the bytes of a function.
NARROW_INLINE __m128i through(const FunctionTables& function, DType type, __m256i positions) {
  const __m128i words =
      _mm_packs_epi32(_mm256_castsi256_si128(positions), _mm256_extracti128_si256(positions, 1));
  const __m128i y = _mm256_castsi256_si128(function_words(function, _mm256_castsi128_si256(words)));
  return _mm_xor_si128(_mm_packs_epi16(y, y), _mm_set1_epi8(static_cast<char>(type == DType::u8 ? 0x80 : 0)));
}

/// Any types, any activation, any number of columns.
inline void finish_any(const S8Finish& f, const ConvRows& rows, const S8Sums& s) {
  const IntegerStore integer{f.inverse_out_scale, f.out_zero, f.low, f.high};
  const TensorQuant residual{f.residual_scale, f.residual_zero};
  FunctionTables tables{};
  if (f.function != nullptr) tables = function_tables(*f.function);
  for (int64_t i = 0; i < rows.count; ++i)
    for (int64_t column = 0; column < s.columns; column += 8) {
      const int64_t live = s.columns - column < 8 ? s.columns - column : 8;
      const int64_t at = rows.element[i] + s.channel + column;
      const auto* sums = reinterpret_cast<const __m256i*>(s.c + rows.sums[i] + column);
      __m256 r = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_load_si256(sums)),
                               _mm256_loadu_ps(f.scale + s.at + column));
      r = vapply(f.activation, add_residual_lanes(f.residual_type, f.residual, at, live, residual, r));
      if (f.function == nullptr)
        store_lanes(f.dst_type, f.dst, at, live, r, integer);
      else
        store_some(through(tables, f.dst_type, round_lanes(r, integer)), live,
                   static_cast<uint8_t*>(f.dst) + at);
    }
}

NARROW_INLINE void s8_finish_avx2(const S8Finish& f, const ConvRows& rows, const S8Sums& s) {
  if (f.stays_in_bytes && s.columns == 16)
    f.function != nullptr ? finish_function(f, rows, s) : finish_bytes(f, rows, s);
  else
    finish_any(f, rows, s);
}

/// The tile of a walk (walk_loop.h): Dots::run<kRows>(args, a, b, start, c) writes the sums of that many
/// rows.
template <class Dots>
struct S8Walk256 {
  using Args = S8Args;
  using Sum = int32_t;
  static constexpr int64_t kRows = 6, kColumns = 16;
  static int64_t cover(int64_t n) { return n > 3 ? 6 : n > 1 ? 3 : 1; }
  static void begin(const S8Args&) {}
  static void end() {}
  static void tile(const S8Args& g, const uint8_t* a, const int8_t* b, int64_t at, int64_t rows,
                   const S8Pending& pending, int32_t* c) {
    finish(g, *pending.rows, pending.sums);
    const int32_t* start = g.finish.start + at;
    if (rows > 3)
      Dots::template run<6>(g, a, b, start, c);
    else if (rows > 1)
      Dots::template run<3>(g, a, b, start, c);
    else
      Dots::template run<1>(g, a, b, start, c);
  }
  static void finish(const S8Args& g, const ConvRows& rows, const S8Sums& s) {
    s8_finish_avx2(g.finish, rows, s);
  }
};

}  // namespace
}  // namespace narrow::kernels
