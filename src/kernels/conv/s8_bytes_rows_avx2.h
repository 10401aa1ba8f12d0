// The rows of a block of bytes, made such that 16 bits hold what vpmaddubsw sums of them.
//
// The instruction adds two products in 16 bits and saturates, which it cannot where the bytes times the
// largest weights that meet them make no more than 16 bits hold. The same bound lets two of its results be
// added in 16 bits before they are widened. Behind a ReLU most fours of bytes are that small. What is not is
// taken off in a copy of the rows, four bytes at a time, and multiplied apart; where that is too much, only
// pairs are added in 16 bits, and where those are crowded, too, the copy is of words.
#pragma once

#include <immintrin.h>

#include "kernels/conv/load_four.h"
#include "kernels/conv/narrow_inline.h"
#include "kernels/conv/s8_task.h"

namespace narrow::kernels {
namespace {

/// Four bytes of a row that are multiplied apart; 16 bits hold each pair of their products.
struct BytesApart {
  int32_t row;
  int32_t step;  // which four of the row
  int32_t bytes;
};

/// How many products of bytes are added in 16 bits.
enum class ByteSums { fours, pairs, none };

class ByteRows {
 public:
  static constexpr int64_t kRows = 6;

  /// `largest`: of each byte of a row the largest magnitude of the weights it meets, at most 127 (-128 counts
  /// as that).
  explicit ByteRows(const uint8_t* largest) : largest_(largest) {}

  /// The rows as they are multiplied: u8 at a + offsets[segment] + row * stride, `segments` runs of
  /// segment_bytes.
  struct View {
    const uint8_t* a;
    int64_t stride;
    const int64_t* offsets;
    int64_t segments, segment_bytes;
  };

  /// `rows` is at most kRows; the rows of `source` make at most kS8MostBytesDepth bytes.
  void look_at(const View& source, int64_t rows) {
    depth_ = source.segments * source.segment_bytes;
    rows_ = rows;
    view_ = source;
    count_ = 0;
    // Blocks of a layer are alike: what was too much a moment ago is tried again ever less often.
    constexpr int64_t kMostPatience = 64;
    if (sums_ != ByteSums::fours && ++blocks_since_ < patience_) {
      copy();
    } else {
      blocks_since_ = 0;
      patience_ = sums_ == ByteSums::fours ? 4 : patience_ < kMostPatience ? patience_ * 2 : patience_;
      sums_ = ByteSums::fours;
      if (is_clean()) return;
      copy();
      if (part_fours()) return;
      sums_ = ByteSums::pairs;
    }
    if (sums_ == ByteSums::pairs && part_pairs()) return;
    sums_ = ByteSums::none;
    widen();
  }

  ByteSums sums() const { return sums_; }
  const View& view() const { return view_; }
  /// Rows of words, for ByteSums::none: of each four the even ones first.
  const int16_t* words() const { return words_; }
  int64_t depth() const { return depth_; }
  int64_t apart_count() const { return count_; }
  BytesApart apart(int64_t i) const { return {at_[i] >> 16, at_[i] & 0xffff, bytes_[i]}; }

 private:
  /// -128 times this is what -32768 is of 127.
  static constexpr int64_t kMost = 32767 * 127 / 128, kNoOffset = 0;
  /// Of eight bytes four may be multiplied apart every third time: it costs what two or three of those spared
  /// do.
  static constexpr int64_t kBytesPerApart = 24, kMostOfChunk = 12;
  static constexpr int64_t kMostApart = kRows * kS8MostBytesDepth / kBytesPerApart + kMostOfChunk;
  static constexpr uint32_t kEven = 0x00ff00ff;

  NARROW_INLINE __m256i load_bytes(const uint8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  /// What the 16 pairs of 32 bytes make at most, 32767 where more.
  NARROW_INLINE __m256i pairs_of(__m256i bytes, __m256i largest) {
    return _mm256_maddubs_epi16(bytes, largest);
  }
  /// What fours make, each in both halves of its eight bytes.
  NARROW_INLINE __m256i fours_of(__m256i pairs) {
    return _mm256_adds_epi16(pairs, _mm256_shuffle_epi32(pairs, 0xb1));
  }
  NARROW_INLINE __m256i crowded(__m256i sums) { return _mm256_cmpgt_epi16(sums, _mm256_set1_epi16(kMost)); }
  NARROW_INLINE __m256i crowded_fours(__m256i bytes, __m256i largest) {
    return crowded(fours_of(pairs_of(bytes, largest)));
  }
  NARROW_INLINE __m256i load_eight(const uint8_t* p) { return _mm256_zextsi128_si256(_mm_loadu_si64(p)); }
  NARROW_INLINE __m256i load_last(const uint8_t* p) {
    return _mm256_zextsi128_si256(_mm_cvtsi32_si128(load_four(p)));
  }

  /// Whether four of `bytes` bytes (a multiple of 4) that are added in 16 bits are too much.
  static bool is_crowded(const uint8_t* p, const uint8_t* largest, int64_t bytes) {
    __m256i any = _mm256_setzero_si256();
    int64_t i = 0;
    for (; i + 32 <= bytes; i += 32)
      any = _mm256_or_si256(any, crowded_fours(load_bytes(p + i), load_bytes(largest + i)));
    for (; i + 8 <= bytes; i += 8)
      any = _mm256_or_si256(any, crowded_fours(load_eight(p + i), load_eight(largest + i)));
    if (i < bytes) any = _mm256_or_si256(any, crowded_fours(load_last(p + i), load_last(largest + i)));
    return _mm256_testz_si256(any, any) == 0;
  }

  bool is_clean() const {
    for (int64_t segment = 0; segment < view_.segments; ++segment)
      for (int64_t row = 0; row < rows_; ++row)
        if (is_crowded(view_.a + view_.offsets[segment] + row * view_.stride,
                       largest_ + segment * view_.segment_bytes, view_.segment_bytes))
          return false;
    return true;
  }

  void copy() {
    for (int64_t row = 0; row < rows_; ++row)
      for (int64_t segment = 0; segment < view_.segments; ++segment)
        __builtin_memcpy(copy_ + row * depth_ + segment * view_.segment_bytes,
                         view_.a + view_.offsets[segment] + row * view_.stride,
                         static_cast<size_t>(view_.segment_bytes));
    view_ = {copy_, depth_, &kNoOffset, 1, depth_};
  }

  /// Takes off the copy what is too much for fours to be added, the last four bytes of eight; false, and
  /// nothing is taken, where that is too often. 32 bytes of all rows at a time, so that neighbours in the
  /// list are of different rows.
  bool part_fours() {
    const int64_t most = rows_ * depth_ / kBytesPerApart;
    for (int64_t k = 0; k < depth_; k += 32) {
      const __m256i largest = load_bytes(largest_ + k);
      for (int64_t row = 0; row < rows_; ++row) {
        uint8_t* p = copy_ + row * depth_ + k;
        const __m256i bytes = load_bytes(p), pairs = pairs_of(bytes, largest), bad = crowded(pairs);
        if (k + 32 > depth_ || _mm256_testz_si256(bad, bad) == 0)
          part_eights(row, k, k + 32 < depth_ ? k + 32 : depth_);
        else
          part_chunk(row, k, p, bytes, fours_of(pairs));
        if (count_ > most) return restore();
      }
    }
    return true;
  }

  /// 32 bytes without a crowded pair.
  void part_chunk(int64_t row, int64_t k, uint8_t* p, __m256i bytes, __m256i fours) {
    const __m256i good = _mm256_cmpeq_epi64(crowded(fours), _mm256_setzero_si256());
    const auto which = static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(good))) ^ 15;
    const __m256i taken =
        _mm256_andnot_si256(good, _mm256_and_si256(bytes, _mm256_set1_epi64x(~int64_t{0} << 32)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_sub_epi8(bytes, taken));
    const __m256i order = _mm256_cvtepu8_epi32(_mm_loadu_si64(kOrder[which]));
    const __m128i at = _mm_add_epi32(_mm256_castsi256_si128(order), _mm_set1_epi32(code(row, k)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes_ + count_),
                     _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(taken, order)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(at_ + count_), at);
    count_ += __builtin_popcount(which);
  }

  void part_eights(int64_t row, int64_t k, int64_t end) {
    for (; k < end; k += 8) {
      const uint32_t a = four_at(row, k), b = k + 8 <= end ? four_at(row, k + 4) : 0;
      const uint8_t* largest = largest_ + k;
      if (has_crowded_pair(b, largest + 4)) {
        put_apart(row, k + 4, b & kEven);
        put_apart(row, k + 4, b & ~kEven);
      } else if (b != 0 && (pair_of(a, largest, 0) + pair_of(b, largest + 4, 0) > kMost ||
                            pair_of(a, largest, 2) + pair_of(b, largest + 4, 2) > kMost)) {
        put_apart(row, k + 4, b);
      }
      if (has_crowded_pair(a, largest)) put_apart(row, k, a & ~kEven);
    }
  }

  /// The same for pairs, the odd bytes of four.
  bool part_pairs() {
    const int64_t most = rows_ * depth_ / 32;
    for (int64_t k = 0; k < depth_; k += 32) {
      const __m256i largest = load_bytes(largest_ + k);
      for (int64_t row = 0; row < rows_; ++row) {
        const __m256i bad = crowded(pairs_of(load_bytes(copy_ + row * depth_ + k), largest));
        if (_mm256_testz_si256(bad, bad) != 0) continue;
        for (int64_t at = k; at < k + 32 && at < depth_; at += 4)
          if (const uint32_t four = four_at(row, at); has_crowded_pair(four, largest_ + at))
            put_apart(row, at, four & ~kEven);
        if (count_ > most) return restore();
      }
    }
    return true;
  }

  /// What bytes `at` and at + 1 of four make at most.
  static int32_t pair_of(uint32_t four, const uint8_t* largest, int at) {
    return static_cast<int32_t>((four >> at * 8 & 0xff) * largest[at] +
                                (four >> (at * 8 + 8) & 0xff) * largest[at + 1]);
  }
  static bool has_crowded_pair(uint32_t four, const uint8_t* largest) {
    return pair_of(four, largest, 0) > kMost || pair_of(four, largest, 2) > kMost;
  }

  static int32_t code(int64_t row, int64_t k) { return static_cast<int32_t>(row << 16 | k / 4); }
  uint32_t four_at(int64_t row, int64_t k) const {
    return static_cast<uint32_t>(load_four(copy_ + row * depth_ + k));
  }
  void put_apart(int64_t row, int64_t k, uint32_t bytes) {
    bytes_[count_] = static_cast<int32_t>(bytes);
    at_[count_++] = code(row, k);
    add_to_copy(row, k, 0 - bytes);
  }
  void add_to_copy(int64_t row, int64_t k, uint32_t bytes) {
    const uint32_t sum = four_at(row, k) + bytes;
    __builtin_memcpy(copy_ + row * depth_ + k, &sum, 4);
  }
  bool restore() {
    for (int64_t i = 0; i < count_; ++i) {
      const BytesApart from = apart(i);
      add_to_copy(from.row, int64_t{from.step} * 4, static_cast<uint32_t>(from.bytes));
    }
    count_ = 0;
    return false;
  }

  /// Sixteen at a time, beyond the last, too.
  void widen() {
    const __m128i even_first = _mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
    for (int64_t i = 0; i < rows_ * depth_; i += 16) {
      const __m128i bytes = _mm_load_si128(reinterpret_cast<const __m128i*>(copy_ + i));
      _mm256_store_si256(reinterpret_cast<__m256i*>(words_ + i),
                         _mm256_cvtepu8_epi16(_mm_shuffle_epi8(bytes, even_first)));
    }
  }

  /// The odd ones of eight numbers that four bits name.
  static constexpr uint8_t kOrder[16][8] = {{},     {1},       {3},       {1, 3},      {5},    {1, 5},
                                            {3, 5}, {1, 3, 5}, {7},       {1, 7},      {3, 7}, {1, 3, 7},
                                            {5, 7}, {1, 5, 7}, {3, 5, 7}, {1, 3, 5, 7}};

  const uint8_t* largest_;
  int64_t depth_ = 0, rows_ = 0, count_ = 0, blocks_since_ = 0, patience_ = 0;
  View view_{};
  ByteSums sums_ = ByteSums::fours;
  int32_t bytes_[kMostApart], at_[kMostApart];
  alignas(32) uint8_t copy_[kRows * kS8MostBytesDepth + 32];
  alignas(32) int16_t words_[kRows * kS8MostBytesDepth + 16];
};

}  // namespace
}  // namespace narrow::kernels
