// Weights that stand apart from the codes of their groups: a place and an FP16 number each.
//
//   w' = (code - zero point) * scale + sum of the values whose place it is
//
// gaps: u8, for each weight apart the distance from the one before in the row-major order of the weights, for
// the first from element 0. values: f16, as many. 24 bits each, where a place within the layer would take 32.
// There is no escape for a longer distance: who chooses the weights sees to it that none is
// (find_outliers()).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace narrow::quant {

constexpr int64_t kLargestGap = 255, kBitsApart = 24;

struct WeightsApart {
  Tensor gaps;    // u8 [count]; undefined: none
  Tensor values;  // f16 [count]

  int64_t count() const { return gaps.defined() ? gaps.elements() : 0; }
  int64_t stored_bits() const { return count() * kBitsApart; }
  /// Of each, in the row-major order of the weights: ascending.
  std::vector<int64_t> places() const;
};

/// Every value 0. Preconditions: ascending places, none further than kLargestGap from the one before.
WeightsApart make_apart(std::span<const int64_t> places);
/// The same tensors, not shared.
WeightsApart cloned(const WeightsApart& apart);

/// The nearest FP16 number; beyond its range the last that is finite.
float half_number(float x);

}  // namespace narrow::quant
