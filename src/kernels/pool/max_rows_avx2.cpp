#include <immintrin.h>

#include "kernels/pool/max_rows.h"

namespace narrow::kernels {
namespace {

struct Signed {
  static __m256i larger(__m256i a, __m256i b) { return _mm256_max_epi8(a, b); }
  static __m128i larger(__m128i a, __m128i b) { return _mm_max_epi8(a, b); }
  static uint8_t larger(uint8_t a, uint8_t b) {
    return static_cast<int8_t>(a) > static_cast<int8_t>(b) ? a : b;
  }
};
struct Unsigned {
  static __m256i larger(__m256i a, __m256i b) { return _mm256_max_epu8(a, b); }
  static __m128i larger(__m128i a, __m128i b) { return _mm_max_epu8(a, b); }
  static uint8_t larger(uint8_t a, uint8_t b) { return a > b ? a : b; }
};

/// As many bytes as T holds.
template <class T>
T load(const uint8_t* p) {
  T value;
  __builtin_memcpy(&value, p, sizeof value);
  return value;
}

template <class Sign, class T>
void max_at(const uint8_t* from, int64_t step, int64_t count, uint8_t* to) {
  T most = load<T>(from);
  for (int64_t j = 1; j < count; ++j) most = Sign::larger(most, load<T>(from + j * step));
  __builtin_memcpy(to, &most, sizeof most);
}

/// to[i] = the largest of from[j * step + i] for j < count, i < bytes.
template <class Sign>
void max_run(const uint8_t* from, int64_t step, int64_t count, int64_t bytes, uint8_t* to) {
  int64_t i = 0;
  for (; i + 32 <= bytes; i += 32) max_at<Sign, __m256i>(from + i, step, count, to + i);
  if (i == bytes) return;
  if (bytes >= 32) return max_at<Sign, __m256i>(from + bytes - 32, step, count, to + bytes - 32);
  if (bytes >= 16) {
    max_at<Sign, __m128i>(from, step, count, to);
    return max_at<Sign, __m128i>(from + bytes - 16, step, count, to + bytes - 16);
  }
  for (; i < bytes; ++i) max_at<Sign, uint8_t>(from + i, step, count, to + i);
}

template <class Sign>
void max_of_columns(const MaxColumns& of, const uint8_t* line, uint8_t* out) {
  if (of.step == of.c) return max_run<Sign>(line, of.tap_step, of.taps, of.pixels * of.c, out);
  for (int64_t p = 0; p < of.pixels; ++p)
    max_run<Sign>(line + p * of.step, of.tap_step, of.taps, of.c, out + p * of.c);
}

}  // namespace

void max_of_rows_avx2(bool is_signed, const uint8_t* src, int64_t row_stride, int64_t rows, int64_t bytes,
                      uint8_t* line) {
  (is_signed ? max_run<Signed> : max_run<Unsigned>)(src, row_stride, rows, bytes, line);
}

void max_of_columns_avx2(bool is_signed, const MaxColumns& of, const uint8_t* line, uint8_t* out) {
  (is_signed ? max_of_columns<Signed> : max_of_columns<Unsigned>)(of, line, out);
}

}  // namespace narrow::kernels
