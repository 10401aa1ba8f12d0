// How the elements of a constant of many zeros (sparse.h) lie: what writer and reader share.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "artifact/sparse.h"

namespace narrow::artifact {

inline constexpr std::array<uint8_t, 6> kPairs = {0b0011, 0b0101, 0b0110, 0b1001, 0b1010, 0b1100};
inline constexpr int kPairBits = 3;
/// Runs are powers of two up to this.
inline constexpr int64_t kLongestRun = 64;

/// A tensor as lines about an axis.
struct Lines {
  int64_t outer, extent, inner, run, runs_per_line;

  Lines(const Shape& shape, const SparseForm& form)
      : outer(elements_of(Shape(shape.begin(), shape.begin() + form.axis))),
        extent(shape[static_cast<size_t>(form.axis)]),
        inner(elements_of(Shape(shape.begin() + form.axis + 1, shape.end()))),
        run(form.run),
        runs_per_line((extent + form.run - 1) / form.run) {}

  int64_t runs() const { return outer * inner * runs_per_line; }
  int64_t length(int64_t in_line) const { return std::min(run, extent - in_line * run); }

  /// visit(number of the run, its first element, its elements); they lie `inner` apart.
  template <class Visit>
  void for_runs(Visit visit) const {
    int64_t number = 0;
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t i = 0; i < inner; ++i)
        for (int64_t r = 0; r < runs_per_line; ++r)
          visit(number++, (o * extent + r * run) * inner + i, length(r));
  }
};

/// The tensor if all of it were zero.
Tensor background(DType dtype, const Shape& shape, const SparseFill* fill);
/// Zero points that background() can read.
bool fits(const SparseFill& fill, DType dtype, const Shape& shape);
/// Of the mask of so many runs.
int64_t mask_bytes(int64_t runs, const SparseForm& form);
/// Elements of the runs that `mask` (a byte each) keeps.
int64_t kept_in(const std::vector<uint8_t>& mask, const Lines& lines);

}  // namespace narrow::artifact
