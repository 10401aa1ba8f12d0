// 6 x 16 sums of bytes in registers:  C[6,16] = start + A[6,K] x B[K,16], u8 by s8, vpmaddubsw
//
// Products of two or four bytes beside each other are added in 16 bits where these hold them, which the rows
// of a block are looked at for once before all panels read them (s8_bytes_rows_avx2.h): five instructions for
// 64 products, three of them multiplications, where words take eight and four (s8_conv_avx2.cpp). Exact.
#include "kernels/conv/load_four.h"
#include "kernels/conv/s8_bytes_rows_avx2.h"
#include "kernels/conv/s8_lanes_avx2.h"
#include "kernels/conv/walk_loop.h"

namespace narrow::kernels {
namespace {

constexpr int64_t kRows = ByteRows::kRows, kColumns = 16;

NARROW_INLINE __m256i load(const void* p) { return _mm256_load_si256(static_cast<const __m256i*>(p)); }
NARROW_INLINE __m256i four_of(const uint8_t* p) { return _mm256_set1_epi32(load_four(p)); }

/// sum + the words' pairs.
NARROW_INLINE __m256i add_words(__m256i sum, __m256i words) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(words, _mm256_set1_epi16(1)));
}

/// The next four bytes of kM rows against all columns.
template <int kM>
NARROW_INLINE void add_four(const uint8_t* a, int64_t stride, const int8_t* b, __m256i* sum0, __m256i* sum1) {
  const __m256i b0 = load(b), b1 = load(b + 32);
  NARROW_UNROLL(6) for (int m = 0; m < kM; ++m) {
    const __m256i x = four_of(a + m * stride);
    sum0[m] = add_words(sum0[m], _mm256_maddubs_epi16(x, b0));
    sum1[m] = add_words(sum1[m], _mm256_maddubs_epi16(x, b1));
  }
}

/// The next eight; of each four that are added in 16 bits two are of either half.
template <int kM>
NARROW_INLINE void add_eight(const uint8_t* a, int64_t stride, const int8_t* b, __m256i* sum0,
                             __m256i* sum1) {
  const __m256i b0 = load(b), b1 = load(b + 32), b2 = load(b + 64), b3 = load(b + 96);
  NARROW_UNROLL(6) for (int m = 0; m < kM; ++m) {
    const __m256i x = four_of(a + m * stride), y = four_of(a + m * stride + 4);
    sum0[m] = add_words(sum0[m], _mm256_add_epi16(_mm256_maddubs_epi16(x, b0), _mm256_maddubs_epi16(y, b2)));
    sum1[m] = add_words(sum1[m], _mm256_add_epi16(_mm256_maddubs_epi16(x, b1), _mm256_maddubs_epi16(y, b3)));
  }
}

/// C = start + A x B of kM rows from `row` on.
template <int kM, ByteSums kSums>
void dots(const ByteRows::View& rows, int64_t row, const int8_t* b, const int32_t* start, int32_t* c) {
  __m256i sum0[kM], sum1[kM];
  NARROW_UNROLL(6) for (int m = 0; m < kM; ++m) {
    sum0[m] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(start));
    sum1[m] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(start + 8));
  }
  for (int64_t segment = 0; segment < rows.segments; ++segment) {
    const uint8_t* a = rows.a + row * rows.stride + rows.offsets[segment];
    int64_t k = 0;
    if (kSums == ByteSums::fours)
      for (; k + 8 <= rows.segment_bytes; k += 8, b += 128) add_eight<kM>(a + k, rows.stride, b, sum0, sum1);
    for (; k < rows.segment_bytes; k += 4, b += 64) add_four<kM>(a + k, rows.stride, b, sum0, sum1);
  }
  c += row * kColumns;
  NARROW_UNROLL(6) for (int m = 0; m < kM; ++m) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(c + m * kColumns), sum0[m]);
    _mm256_store_si256(reinterpret_cast<__m256i*>(c + m * kColumns + 8), sum1[m]);
  }
}

/// The same of rows of `depth` words, of each four the even ones first: eight columns at a time, whose
/// weights are even and odd bytes.
template <int kM>
void word_dots(const int16_t* a, int64_t depth, const int8_t* b, const int32_t* start, int32_t* c) {
  for (int half = 0; half < 2; ++half) {
    const int8_t* weights = b + half * 32;
    __m256i sum[kM];
    NARROW_UNROLL(6)
    for (int m = 0; m < kM; ++m)
      sum[m] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(start + half * 8));
    for (int64_t k = 0; k < depth; k += 4, weights += 64) {
      const __m256i both = load(weights);
      const __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(both, 8), 8), odd = _mm256_srai_epi16(both, 8);
      NARROW_UNROLL(6) for (int m = 0; m < kM; ++m) {
        const auto* x = reinterpret_cast<const uint8_t*>(a + m * depth + k);
        sum[m] = _mm256_add_epi32(sum[m], _mm256_madd_epi16(four_of(x), even));
        sum[m] = _mm256_add_epi32(sum[m], _mm256_madd_epi16(four_of(x + 4), odd));
      }
    }
    NARROW_UNROLL(6)
    for (int m = 0; m < kM; ++m)
      _mm256_store_si256(reinterpret_cast<__m256i*>(c + m * kColumns + half * 8), sum[m]);
  }
}

/// c += the bytes apart x their rows of B, of one panel.
NARROW_INLINE void add_apart(const ByteRows& rows, const int8_t* b, int32_t* c) {
  for (int64_t i = 0; i < rows.apart_count(); ++i) {
    const BytesApart apart = rows.apart(i);
    const __m256i x = _mm256_set1_epi32(apart.bytes);
    const int8_t* weights = b + int64_t{apart.step} * 64;
    auto* sums = reinterpret_cast<__m256i*>(c + apart.row * kColumns);
    NARROW_UNROLL(2)
    for (int half = 0; half < 2; ++half)
      _mm256_store_si256(sums + half,
                         add_words(load(sums + half), _mm256_maddubs_epi16(x, load(weights + half * 32))));
  }
}

/// `rows` of them are wanted; what is computed beyond is not read.
void multiply(const ByteRows& block, int64_t rows, const int8_t* b, const int32_t* start, int32_t* c) {
  const ByteRows::View& view = block.view();
  switch (block.sums()) {
    case ByteSums::fours:  // three rows at a time leave registers for what they share
      if (rows == 1) return dots<1, ByteSums::fours>(view, 0, b, start, c);
      dots<3, ByteSums::fours>(view, 0, b, start, c);
      if (rows > 3) dots<3, ByteSums::fours>(view, 3, b, start, c);
      return;
    case ByteSums::pairs:
      if (rows == 1) return dots<1, ByteSums::pairs>(view, 0, b, start, c);
      if (rows <= 3) return dots<3, ByteSums::pairs>(view, 0, b, start, c);
      return dots<6, ByteSums::pairs>(view, 0, b, start, c);
    case ByteSums::none:
      if (rows == 1) return word_dots<1>(block.words(), block.depth(), b, start, c);
      if (rows <= 3) return word_dots<3>(block.words(), block.depth(), b, start, c);
      return word_dots<6>(block.words(), block.depth(), b, start, c);
  }
}

class Bytes {
 public:
  Bytes(const S8Args& g, int64_t group)
      : g_(g), group_(group), block_(g.largest + group * g.segments * g.segment_bytes) {}

  void enter(int64_t block) {
    const int64_t first = block * kRows, left = g_.positions - first;
    const int64_t wanted = left < kRows ? left : kRows, covered = wanted > 3 ? 6 : wanted > 1 ? 3 : 1;
    const int64_t last_start = g_.readable - covered, start = first < last_start ? first : last_start;
    map_rows(g_, start, first, kRows, kColumns, rows_);
    live_ = wanted + first - start;
    const bool in_tail = start >= g_.tail_begin;
    const uint8_t* a = in_tail ? g_.tail + (start - g_.tail_begin) * g_.a_stride : g_.a + start * g_.a_stride;
    block_.look_at({a + group_ * g_.group_bytes, g_.a_stride, g_.offsets, g_.segments, g_.segment_bytes},
                   live_);
  }

  void compute(int64_t panel) {
    alignas(32) int32_t c[kRows * kColumns];
    const int64_t place = group_ * g_.panels + panel, at = place * kColumns, column = panel * kColumns,
                  left = g_.outputs - column;
    const int8_t* b = g_.b + place * g_.panel_bytes;
    multiply(block_, live_, b, g_.finish.start + at, c);
    add_apart(block_, b, c);
    s8_finish_avx2(g_.finish, rows_,
                   {c, left < kColumns ? left : kColumns, group_ * g_.outputs + column, at});
  }

 private:
  const S8Args& g_;
  int64_t group_, live_ = 0;
  ConvRows rows_;
  ByteRows block_;
};

}  // namespace

void s8_largest_avx2(const int8_t* weights, int64_t panels, int64_t depth, uint8_t* largest) {
  __builtin_memset(largest, 0, static_cast<size_t>(depth));
  for (int64_t panel = 0; panel < panels; ++panel)
    for (int64_t k = 0; k < depth; k += 4, weights += 4 * kColumns) {
      const __m256i both =
          _mm256_max_epu8(_mm256_abs_epi8(load(weights)), _mm256_abs_epi8(load(weights + 32)));
      __m128i four = _mm_max_epu8(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
      four = _mm_max_epu8(four, _mm_shuffle_epi32(four, 0x4e));
      four = _mm_max_epu8(four, _mm_shuffle_epi32(four, 0xb1));
      four = _mm_max_epu8(four, _mm_cvtsi32_si128(load_four(largest + k)));
      const int32_t bytes = _mm_cvtsi128_si32(_mm_min_epu8(four, _mm_set1_epi8(127)));
      __builtin_memcpy(largest + k, &bytes, 4);
    }
}

void s8_bytes_task_avx2(const S8Args& g, const ConvRange& r) {
  // Where panels leave L2 before the next block wants them, as many as stay pass over all blocks; each time a
  // block is looked at.
  constexpr int64_t kStays = 384 << 10;
  const int64_t all = r.panel_end - r.panel_begin, stay = kStays / g.panel_bytes,
                panels = !r.panels_outside || stay > all ? all
                         : stay > 0                      ? stay
                                                         : 1;
  Bytes bytes(g, r.group);
  for (int64_t panel = r.panel_begin; panel < r.panel_end; panel += panels)
    for (int64_t block = r.block_begin; block < r.block_end; ++block) {
      bytes.enter(block);
      for (int64_t p = panel; p < panel + panels && p < r.panel_end; ++p) {
        bytes.compute(p);
        fetch_lines(r.fetch);
      }
    }
}

}  // namespace narrow::kernels
