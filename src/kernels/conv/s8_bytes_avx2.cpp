// 6 x 16 sums of bytes in registers:  C[6,16] = start + A[6,K] x B[K,16], u8 by s8, vpmaddubsw
//
// That instruction adds two products in 16 bits and saturates, which it cannot where two bytes beside each
// other make at most 256: 256 * -128 = -32768, 256 * 127 < 32767. Behind a ReLU hardly a pair makes more. So
// rows are looked at once before all panels read them. What a pair has beyond 256 is taken off in a copy of
// the rows, and its products are added one by one; where that is too much, the copy is of words and so are
// the products. Exact either way; three instructions for 32 products where words take four
// (s8_conv_avx2.cpp).
#include "kernels/conv/load_four.h"
#include "kernels/conv/s8_lanes_avx2.h"
#include "kernels/conv/walk_loop.h"

namespace narrow::kernels {
namespace {

constexpr int64_t kRows = 6, kColumns = 16, kMostPair = 256;
/// Of a row's bytes one in so many may be dealt with one by one.
constexpr int64_t kBytesPerExcess = 32;

/// What a pair makes beyond 256, taken off the byte at k.
struct Excess {
  int32_t k, value;
};

/// The rows of a block as they are multiplied.
struct Block {
  const uint8_t* a;
  int64_t stride;  // bytes between rows
  const int64_t* offsets;
  int64_t segments, segment_bytes;
};

/// C = start + A x B.
template <int kM>
void dots(const Block& block, const int8_t* b, const int32_t* start, int32_t* c) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sum0[kM], sum1[kM];
  NARROW_UNROLL(6) for (int m = 0; m < kM; ++m) {
    sum0[m] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(start));
    sum1[m] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(start + 8));
  }
  for (int64_t segment = 0; segment < block.segments; ++segment) {
    const uint8_t* run = block.a + block.offsets[segment];
    for (int64_t k = 0; k < block.segment_bytes; k += 4, b += 64) {
      const __m256i b0 = _mm256_load_si256(reinterpret_cast<const __m256i*>(b)),
                    b1 = _mm256_load_si256(reinterpret_cast<const __m256i*>(b + 32));
      NARROW_UNROLL(6) for (int m = 0; m < kM; ++m) {
        const __m256i x = _mm256_set1_epi32(load_four(run + k + m * block.stride));
        sum0[m] = _mm256_add_epi32(sum0[m], _mm256_madd_epi16(_mm256_maddubs_epi16(x, b0), ones));
        sum1[m] = _mm256_add_epi32(sum1[m], _mm256_madd_epi16(_mm256_maddubs_epi16(x, b1), ones));
      }
    }
  }
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
      const __m256i both = _mm256_load_si256(reinterpret_cast<const __m256i*>(weights));
      const __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(both, 8), 8), odd = _mm256_srai_epi16(both, 8);
      NARROW_UNROLL(6) for (int m = 0; m < kM; ++m) {
        const auto* x = reinterpret_cast<const uint8_t*>(a + m * depth + k);
        sum[m] = _mm256_add_epi32(sum[m], _mm256_madd_epi16(_mm256_set1_epi32(load_four(x)), even));
        sum[m] = _mm256_add_epi32(sum[m], _mm256_madd_epi16(_mm256_set1_epi32(load_four(x + 4)), odd));
      }
    }
    NARROW_UNROLL(6)
    for (int m = 0; m < kM; ++m)
      _mm256_store_si256(reinterpret_cast<__m256i*>(c + m * kColumns + half * 8), sum[m]);
  }
}

/// Sums of the 16 pairs of 32 bytes that are beyond 256.
NARROW_INLINE __m256i beyond(__m256i bytes) {
  const __m256i pairs = _mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1));
  return _mm256_cmpgt_epi16(pairs, _mm256_set1_epi16(kMostPair));
}

/// Whether a pair of `bytes` bytes (a multiple of 4) makes more than 256.
bool exceeds(const uint8_t* p, int64_t bytes) {
  __m256i any = _mm256_setzero_si256();
  int64_t i = 0;
  for (; i + 32 <= bytes; i += 32)
    any = _mm256_or_si256(any, beyond(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + i))));
  for (; i < bytes; i += 4)
    any = _mm256_or_si256(any, beyond(_mm256_zextsi128_si256(_mm_cvtsi32_si128(load_four(p + i)))));
  return _mm256_testz_si256(any, any) == 0;
}

/// c += value * row k of B, of one panel.
NARROW_INLINE void add_excess(const Excess& excess, const int8_t* b, int32_t* c) {
  const __m256i* at = reinterpret_cast<const __m256i*>(b + excess.k / 4 * 64);
  const __m128i up = _mm_cvtsi32_si128(24 - excess.k % 4 * 8);
  const __m256i value = _mm256_set1_epi32(excess.value);  // a word: the upper products are zero
  NARROW_UNROLL(2) for (int half = 0; half < 2; ++half) {
    const __m256i w = _mm256_srai_epi32(_mm256_sll_epi32(_mm256_load_si256(at + half), up), 24);
    __m256i* sums = reinterpret_cast<__m256i*>(c + half * 8);
    _mm256_store_si256(sums, _mm256_add_epi32(_mm256_load_si256(sums), _mm256_madd_epi16(w, value)));
  }
}

class Bytes {
 public:
  explicit Bytes(const S8Args& g) : g_(g), depth_(g.segments * g.segment_bytes) {}

  /// `live`: rows that are multiplied, from `start` on.
  void enter(int64_t block) {
    const int64_t first = block * kRows, left = g_.positions - first;
    const int64_t wanted = left < kRows ? left : kRows, covered = wanted > 3 ? 6 : wanted > 1 ? 3 : 1;
    const int64_t last_start = g_.readable - covered, start = first < last_start ? first : last_start;
    map_rows(g_, start, first, kRows, kColumns, rows_);
    live_ = wanted + first - start;
    const bool in_tail = start >= g_.tail_begin;
    const uint8_t* a = in_tail ? g_.tail + (start - g_.tail_begin) * g_.a_stride : g_.a + start * g_.a_stride;
    block_ = {a, g_.a_stride, g_.offsets, g_.segments, g_.segment_bytes};
    in_words_ = false;
    for (int32_t& count : count_) count = 0;
    if (is_clean()) return;
    copy_rows();
    take_excess();
    block_ = {copy_, depth_, &kNoOffset, 1, depth_};
  }

  void compute(int64_t panel, int64_t outputs) {
    alignas(32) int32_t c[kRows * kColumns];
    const int8_t* b = g_.b + panel * g_.panel_bytes;
    const int64_t at = panel * kColumns, left = outputs - at;
    if (live_ > 3)
      multiply<6>(b, g_.finish.start + at, c);
    else if (live_ > 1)
      multiply<3>(b, g_.finish.start + at, c);
    else
      multiply<1>(b, g_.finish.start + at, c);
    for (int64_t row = 0; row < live_; ++row)
      for (int32_t i = 0; i < count_[row]; ++i) add_excess(excess_[row][i], b, c + row * kColumns);
    s8_finish_avx2(g_.finish, rows_, {c, left < kColumns ? left : kColumns, at, at});
  }

 private:
  static constexpr int64_t kNoOffset = 0;
  static constexpr int64_t kMostExcess = kS8MostBytesDepth / kBytesPerExcess;

  template <int kM>
  void multiply(const int8_t* b, const int32_t* start, int32_t* c) const {
    if (in_words_)
      word_dots<kM>(words_, depth_, b, start, c);
    else
      dots<kM>(block_, b, start, c);
  }

  bool is_clean() const {
    for (int64_t segment = 0; segment < g_.segments; ++segment)
      for (int64_t row = 0; row < live_; ++row)
        if (exceeds(block_.a + g_.offsets[segment] + row * block_.stride, g_.segment_bytes)) return false;
    return true;
  }

  void copy_rows() {
    for (int64_t row = 0; row < live_; ++row)
      for (int64_t segment = 0; segment < g_.segments; ++segment)
        __builtin_memcpy(copy_ + row * depth_ + segment * g_.segment_bytes,
                         block_.a + g_.offsets[segment] + row * block_.stride,
                         static_cast<size_t>(g_.segment_bytes));
  }

  /// Off the copy; where there is too much, the copy becomes words instead.
  void take_excess() {
    for (int64_t row = 0; row < live_; ++row)
      if (!take_excess(row, copy_ + row * depth_)) return widen();
    for (int64_t row = 0; row < live_; ++row)
      for (int32_t i = 0; i < count_[row]; ++i)
        copy_[row * depth_ + excess_[row][i].k] -= static_cast<uint8_t>(excess_[row][i].value);
  }

  /// What is to be taken off a row; false when that is too much. 32 bytes at a time, beyond the row's end
  /// too.
  bool take_excess(int64_t row, const uint8_t* x) {
    const int64_t most = depth_ / kBytesPerExcess;
    for (int64_t k = 0; k < depth_; k += 32) {
      auto bits = static_cast<uint32_t>(
          _mm256_movemask_epi8(beyond(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + k)))));
      for (; bits != 0; bits &= bits - 1, bits &= bits - 1) {  // two a pair
        const int64_t at = k + __builtin_ctz(bits);
        if (at >= depth_) break;
        if (count_[row] == most) return false;
        excess_[row][count_[row]++] = {static_cast<int32_t>(at), x[at] + x[at + 1] - int32_t{kMostPair}};
      }
    }
    return true;
  }

  void widen() {
    for (int32_t& count : count_) count = 0;
    in_words_ = true;
    for (int64_t i = 0; i < live_ * depth_; i += 4) {
      words_[i] = copy_[i], words_[i + 1] = copy_[i + 2];
      words_[i + 2] = copy_[i + 1], words_[i + 3] = copy_[i + 3];
    }
  }

  const S8Args& g_;
  int64_t depth_, live_ = 0;
  ConvRows rows_;
  Block block_{};
  bool in_words_ = false;
  int32_t count_[kRows] = {};
  Excess excess_[kRows][kMostExcess];
  alignas(32) uint8_t copy_[kRows * kS8MostBytesDepth + 32];
  alignas(32) int16_t words_[kRows * kS8MostBytesDepth];
};

}  // namespace

void s8_bytes_task_avx2(const S8Args& g, const ConvRange& r) {
  // Where panels leave L2 before the next block wants them, as many as stay pass over all blocks; each time a
  // block is looked at.
  constexpr int64_t kStays = 384 << 10;
  const int64_t all = r.panel_end - r.panel_begin, stay = kStays / g.panel_bytes,
                panels = !r.panels_outside || stay > all ? all
                         : stay > 0                      ? stay
                                                         : 1;
  Bytes bytes(g);
  for (int64_t panel = r.panel_begin; panel < r.panel_end; panel += panels)
    for (int64_t block = r.block_begin; block < r.block_end; ++block) {
      bytes.enter(block);
      for (int64_t p = panel; p < panel + panels && p < r.panel_end; ++p) {
        bytes.compute(p, g.outputs);
        fetch_lines(r.fetch);
      }
    }
}

}  // namespace narrow::kernels
