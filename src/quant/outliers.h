// Outliers apart: the few weights whose rounding would cost most are kept in FP16 beside the codes, and
// groups are fitted without them.
//
// Source: Dettmers et al., "SpQR: A Sparse-Quantized Representation for Near-Lossless LLM Weight
// Compression", arXiv:2306.03078. docs/methods/outliers.md.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "calib/profile.h"
#include "ir/graph.h"
#include "parallel/thread_pool.h"
#include "quant/groups.h"
#include "quant/recipe.h"

namespace narrow::quant {

/// What an error of a weight costs, H_kk: the mean square of the data that it meets. Weights are [outer,
/// extent, inner] about the axis of their input channels; `square` has extent numbers, or for a grouped
/// convolution as many for each of its groups, whose weights lie one behind the other. Empty: all cost the
/// same.
struct WeightCosts {
  std::vector<float> square;
  int64_t extent = 1, inner = 1;
  int64_t group_elements = 1;  // weights of a group

  float of(int64_t element) const {
    if (square.empty()) return 1;
    return square[static_cast<size_t>(element / group_elements * extent + element / inner % extent)];
  }
};
/// Of the node's constant weights as calibration saw their data; all the same where it did not. Precondition:
/// is_heavy(node).
WeightCosts weight_costs(const ir::Node& node, const calib::Profile* profile);

/// Places of the weights to stand apart, ascending and none further than kLargestGap from the one before: at
/// most `share` of all. One after the other those that take most off
///   sum over groups of min over scales and zero points of sum over weights not apart of H_kk (w - w')^2,
/// candidates being the least, the largest and the dearest weight of each group (in groups of 256
/// and more, one for each 128 of each kind); then, where two are too far from each other, the dearest that
/// can be between. Weights beyond FP16 stay. Deterministic.
std::vector<int64_t> find_outliers(const Tensor& weights, const GroupedWeights& like,
                                   const WeightCosts& costs, double share);

struct OutlierReport {
  int64_t layers = 0, apart = 0, weights = 0;  // of the layers in groups
};

/// Sets `percent` of the weights of everything that `recipe` stores in groups apart, and fits the groups
/// anew, codes to nearest. Layers in int8 with a scale per channel stay. `recipe` was made for `graph`;
/// `profile` may be null. Deterministic for any number of threads. Error unsupported: TensorRT as the target.
Result<OutlierReport> set_outliers_apart(const ir::Graph& graph, const calib::Profile* profile,
                                         Recipe& recipe, ThreadPool& pool, double percent);

}  // namespace narrow::quant
