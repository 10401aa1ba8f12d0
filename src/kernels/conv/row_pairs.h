// Rows of a finished block two at a time, some of them between other instructions; for files of any
// instruction set (hence the unnamed namespace).
#pragma once

#include "kernels/conv/walk.h"

namespace narrow::kernels {
namespace {

#define NARROW_ROW_INLINE inline __attribute__((always_inline))

/// Two rows: where their sums begin, and their first elements in dst.
struct RowPair {
  int64_t sums0, sums1, element0, element1;
};

/// Pairs of rows anywhere. The last of an odd number is done twice.
class MappedRows {
 public:
  explicit MappedRows(const ConvRows& rows) : rows_(rows) {}
  NARROW_ROW_INLINE int64_t pairs() const { return (rows_.count + 1) / 2; }
  NARROW_ROW_INLINE RowPair take() {
    const int64_t i = i_;
    i_ += 2;
    return {rows_.sums[i], rows_.sums[i + 1], rows_.element[i], rows_.element[i + 1]};
  }

 private:
  const ConvRows& rows_;
  int64_t i_ = 0;
};

/// Rows one after the other: of kColumns sums, and `pixel` elements apart in dst.
template <int64_t kColumns>
class DenseRows {
 public:
  DenseRows(int64_t count, int64_t sums, int64_t element, int64_t pixel)
      : left_(count), sums_(sums), element_(element), pixel_(pixel) {}
  NARROW_ROW_INLINE int64_t pairs() const { return (left_ + 1) / 2; }
  NARROW_ROW_INLINE RowPair take() {
    const bool two = left_ > 1;
    const RowPair pair{sums_, two ? sums_ + kColumns : sums_, element_, two ? element_ + pixel_ : element_};
    left_ -= 2;
    sums_ += 2 * kColumns;
    element_ += 2 * pixel_;
    return pair;
  }

 private:
  int64_t left_, sums_, element_, pixel_;
};

/// kRows of them from the first sum on: all that is counted is known to the compiler.
template <int64_t kRows, int64_t kColumns>
class WholeRows {
 public:
  WholeRows(int64_t element, int64_t pixel) : element_(element), pixel_(pixel) {}
  NARROW_ROW_INLINE static constexpr int64_t pairs() { return kRows / 2; }
  NARROW_ROW_INLINE RowPair take() {
    const RowPair pair{sums_, sums_ + kColumns, element_, element_ + pixel_};
    sums_ += 2 * kColumns;
    element_ += 2 * pixel_;
    return pair;
  }

 private:
  int64_t sums_ = 0, element_, pixel_;
};

/// Self gives finish_pair(): the next of `pairs` pairs of rows.
template <class Self>
class RowPairs {
 public:
  template <int kPairs>
  NARROW_ROW_INLINE void next() {
    if constexpr (kPairs == 0) return;
    if (left_ <= 0) return;
    step();
    next<(kPairs > 0 ? kPairs - 1 : 0)>();
  }
  NARROW_ROW_INLINE void rest() {
    while (left_ > 0) step();
  }

 protected:
  explicit RowPairs(int64_t pairs) : left_(pairs) {}

 private:
  NARROW_ROW_INLINE void step() {
    static_cast<Self*>(this)->finish_pair();
    --left_;
  }

  int64_t left_;
};

#undef NARROW_ROW_INLINE

}  // namespace
}  // namespace narrow::kernels
