// The transforms of s8_winograd.h, for files of an instruction set from AVX2 on. L: a vector as 16-bit words
// or 32-bit sums.
#pragma once

#include <immintrin.h>

#include "kernels/conv/narrow_inline.h"
#include "kernels/conv/s8_winograd.h"

namespace narrow::kernels {
namespace {

struct Lanes256 {
  using V = __m256i;
  static constexpr int kWords = 16, kSums = 8;

  template <bool kSigned>
  NARROW_INLINE V widen(const uint8_t* p) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return kSigned ? _mm256_cvtepi8_epi16(bytes) : _mm256_cvtepu8_epi16(bytes);
  }
  NARROW_INLINE V load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  NARROW_INLINE void store(void* p, V x) { _mm256_storeu_si256(static_cast<__m256i*>(p), x); }
  NARROW_INLINE V add_words(V a, V b) { return _mm256_add_epi16(a, b); }
  NARROW_INLINE V sub_words(V a, V b) { return _mm256_sub_epi16(a, b); }
  template <int kBits>
  NARROW_INLINE V shift_words(V a) {
    return _mm256_slli_epi16(a, kBits);
  }
  NARROW_INLINE V add(V a, V b) { return _mm256_add_epi32(a, b); }
  NARROW_INLINE V sub(V a, V b) { return _mm256_sub_epi32(a, b); }
  template <int kBits>
  NARROW_INLINE V shift(V a) {
    return _mm256_slli_epi32(a, kBits);
  }
  /// a * factor, then kBits to the right with the sign.
  template <int kBits>
  NARROW_INLINE V scale(V a, int32_t factor) {
    return _mm256_srai_epi32(_mm256_mullo_epi32(a, _mm256_set1_epi32(factor)), kBits);
  }
};

/// G on three words, each row times what makes it whole.
template <class L, class V>
NARROW_INLINE void filter_six(V a, V b, V c, V (&u)[6]) {
  const V ends = L::add_words(a, c), wide = L::add_words(a, L::template shift_words<2>(c)),
          twice = L::template shift_words<1>(b);
  u[0] = L::add_words(L::template shift_words<2>(a), L::template shift_words<1>(a));
  u[1] = L::add_words(ends, b);
  u[2] = L::sub_words(ends, b);
  u[3] = L::add_words(wide, twice);
  u[4] = L::sub_words(wide, twice);
  u[5] = L::add_words(L::template shift_words<2>(c), L::template shift_words<1>(c));
}

/// kColumns: of a panel.
template <class L, int kColumns>
NARROW_INLINE void transform_filters(const S8Filters& filters) {
  using V = typename L::V;
  constexpr int64_t kTap = 2 * kColumns;
  for (int64_t pair = 0; pair < filters.pairs; ++pair)
    for (int64_t i = 0; i < 2 * filters.columns; i += L::kWords) {
      const auto* g = reinterpret_cast<const uint8_t*>(filters.g + pair * 9 * kTap + i);
      int16_t* u = filters.u + pair * kTap + i;
      V down[3][6];
      NARROW_UNROLL(3)
      for (int j = 0; j < 3; ++j)
        filter_six<L>(L::template widen<true>(g + j * kTap), L::template widen<true>(g + (3 + j) * kTap),
                      L::template widen<true>(g + (6 + j) * kTap), down[j]);
      NARROW_UNROLL(6) for (int row = 0; row < 6; ++row) {
        V out[6];
        filter_six<L>(down[0][row], down[1][row], down[2][row], out);
        NARROW_UNROLL(6) for (int j = 0; j < 6; ++j) L::store(u + (row * 6 + j) * filters.u_point, out[j]);
      }
    }
}

/// B' on six words.
template <class L, class V>
NARROW_INLINE void input_six(V (&x)[6]) {
  const V a = L::sub_words(x[4], L::template shift_words<2>(x[2])),
          b = L::sub_words(x[3], L::template shift_words<2>(x[1])), c = L::sub_words(x[4], x[2]),
          d = L::template shift_words<1>(L::sub_words(x[3], x[1]));
  const V first = L::add_words(L::sub_words(a, x[2]), L::template shift_words<2>(x[0])),
          last = L::sub_words(L::add_words(L::template shift_words<2>(L::sub_words(x[1], x[3])), x[5]), x[3]);
  x[0] = first;
  x[1] = L::add_words(a, b);
  x[2] = L::sub_words(a, b);
  x[3] = L::add_words(c, d);
  x[4] = L::sub_words(c, d);
  x[5] = last;
}

template <class L, bool kSigned>
NARROW_INLINE void transform_in(const S8PatchIn& patch, int64_t c) {
  using V = typename L::V;
  V t[6][6];
  NARROW_UNROLL(6) for (int j = 0; j < 6; ++j) {
    V x[6];
    NARROW_UNROLL(6)
    for (int i = 0; i < 6; ++i)
      x[i] = L::template widen<kSigned>(patch.src + i * patch.row + j * patch.pixel + c);
    input_six<L>(x);
    NARROW_UNROLL(6) for (int i = 0; i < 6; ++i) t[i][j] = x[i];
  }
  NARROW_UNROLL(6) for (int i = 0; i < 6; ++i) {
    input_six<L>(t[i]);
    NARROW_UNROLL(6)
    for (int j = 0; j < 6; ++j) L::store(patch.v + (i * 6 + j) * patch.v_point + c, t[i][j]);
  }
}

/// A' on six sums.
template <class L, class V>
NARROW_INLINE void output_four(V m0, V m1, V m2, V m3, V m4, V m5, V (&y)[4]) {
  const V s = L::add(m1, m2), d = L::sub(m1, m2), S = L::add(m3, m4), D = L::sub(m3, m4);
  y[0] = L::add(L::sub(m0, L::template shift<2>(s)), S);
  y[1] = L::sub(D, L::template shift<1>(d));
  y[2] = L::sub(S, s);
  y[3] = L::add(L::sub(L::template shift<1>(D), d), m5);
}

/// Where a row of A' makes outputs 3 * 2^n times as large.
template <int kRow>
constexpr int kS8WinogradBits = kRow == 0   ? 3
                                : kRow == 1 ? 2
                                            : 1;

template <class L, int kRow, int kColumn, class V>
NARROW_INLINE void put_output(const S8PatchOut& patch, int64_t stride, int64_t c, V nine_times) {
  constexpr int32_t kOneNinth = 0x38e38e39;  // modulo 2^32
  int32_t* y = patch.y + (kRow * 4 + kColumn) * stride + c;
  const V begin = L::load(patch.start != nullptr ? patch.start + c : y);
  L::store(y, L::add(begin, L::template scale<kS8WinogradBits<kRow> + kS8WinogradBits<kColumn>>(nine_times,
                                                                                                kOneNinth)));
}

template <class L, int kRow, class V>
NARROW_INLINE void put_row(const S8PatchOut& patch, int64_t stride, int64_t c, const V (&t)[6]) {
  V y[4];
  output_four<L>(t[0], t[1], t[2], t[3], t[4], t[5], y);
  put_output<L, kRow, 0>(patch, stride, c, y[0]);
  put_output<L, kRow, 1>(patch, stride, c, y[1]);
  put_output<L, kRow, 2>(patch, stride, c, y[2]);
  put_output<L, kRow, 3>(patch, stride, c, y[3]);
}

/// `stride`: columns of a panel.
template <class L>
NARROW_INLINE void transform_out(const S8PatchOut& patch, int64_t stride, int64_t c) {
  using V = typename L::V;
  V t[4][6];
  NARROW_UNROLL(6) for (int j = 0; j < 6; ++j) {
    const int32_t* m = patch.m + j * patch.m_point + c;
    const int64_t down = 6 * patch.m_point;
    V y[4];
    output_four<L>(L::load(m), L::load(m + down), L::load(m + 2 * down), L::load(m + 3 * down),
                   L::load(m + 4 * down), L::load(m + 5 * down), y);
    NARROW_UNROLL(4) for (int i = 0; i < 4; ++i) t[i][j] = y[i];
  }
  put_row<L, 0>(patch, stride, c, t[0]);
  put_row<L, 1>(patch, stride, c, t[1]);
  put_row<L, 2>(patch, stride, c, t[2]);
  put_row<L, 3>(patch, stride, c, t[3]);
}

}  // namespace
}  // namespace narrow::kernels
