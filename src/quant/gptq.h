// GPTQ: weights are rounded one after the other, and each takes up what rounding those before it did to the
// layer's result.
//
// Source: Frantar et al., "GPTQ", arXiv:2210.17323. With hessian = R^T R, R upper, the error of a column v is
// |R (v - w*)|^2, and rounding from the last k to the first what is left of w*_k,
//   v_k = round(w*_k - sum_{j>k} R_kj (v_j - w*_j) / R_kk),
// is GPTQ in the opposite order, without the inverse (Chen et al., arXiv:2507.18553: Babai's algorithm).
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "parallel/thread_pool.h"
#include "quant/groups.h"
#include "quant/rounding_problem.h"

namespace narrow::quant {

/// What weights may become. Runs of k that share a scale: [begin[g], begin[g + 1]).
struct WeightGrid {
  int low = -127, high = 127, stride = 1;  // codes low, low + stride, ... high
  std::vector<int64_t> begin;
  /// A scale that the file can hold, for a run's numbers of a column as they stand when it is reached, and
  /// what an error of each costs (R_kk^2).
  std::function<ScaleFit(std::span<const float> numbers, std::span<const float> importance, int64_t column)>
      fit;
  /// The nearest scale that the file can hold for a run with this zero point.
  std::function<float(float scale, int64_t column, int zero_point)> storable;
  bool whole_steps = false;  // scales are few multiples of the column's
  int64_t groups() const { return static_cast<int64_t>(begin.size()) - 1; }
};

/// Rounded weights of one problem.
struct GridWeights {
  std::vector<int16_t> codes;       // [k, n]
  std::vector<float> scale;         // [groups, n]
  std::vector<int16_t> zero_point;  // [groups, n]
  /// [k, n]: the number where a weight stands apart, whatever its code; NaN where none does. Empty: nowhere.
  std::vector<float> apart = {};
  bool is_apart(size_t at) const { return !apart.empty() && !std::isnan(apart[at]); }
};

/// The number of a weight apart that is to be `wanted`, with a code that stands for `back`.
inline float number_apart(float wanted, float back) { return back + half_number(wanted - back); }

/// Where `fixed` holds scales they are taken; otherwise each run's are fitted when it is reached. Weights
/// that must be zero get the code that is, and the others take up their absence; those that stand apart the
/// nearest FP16 number to what they are when they are reached, and scales are fitted without them.
GridWeights gptq(const RoundingProblem& problem, const WeightGrid& grid, const GridWeights& fixed,
                 ThreadPool& pool);

/// The numbers: [k, n].
std::vector<float> values_of(const RoundingProblem& problem, const WeightGrid& grid,
                             const GridWeights& weights);

}  // namespace narrow::quant
