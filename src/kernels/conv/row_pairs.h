// Rows of a finished block two at a time, some of them between other instructions; for files of any
// instruction set (hence the unnamed namespace).
#pragma once

#include "kernels/conv/walk.h"

namespace narrow::kernels {
namespace {

/// Self gives pair(i): finishes rows i and i + 1 of `rows`. The last of an odd number is done twice.
template <class Self>
class RowPairs {
 public:
  template <int kPairs>
  inline __attribute__((always_inline)) void next() {
    if constexpr (kPairs == 0) return;
    if (i_ >= count_) return;
    step();
    next<(kPairs > 0 ? kPairs - 1 : 0)>();
  }
  inline __attribute__((always_inline)) void rest() {
    while (i_ < count_) step();
  }

 protected:
  explicit RowPairs(const ConvRows& rows) : count_(rows.count) {}

 private:
  inline __attribute__((always_inline)) void step() {
    static_cast<Self*>(this)->pair(i_);
    i_ += 2;
  }

  int64_t count_, i_ = 0;
};

}  // namespace
}  // namespace narrow::kernels
