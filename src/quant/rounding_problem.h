// Rounding a layer's weights by the error of its result instead of by their own.
//
//   sum over rows |x^T w + r - x'^T v - r'|^2   with x the original layer's data, x' the quantized model's, v
//   the rounded weights, r and r' what is added to the result in each, is, up to a constant and with H = sum
//   x' x'^T, C = sum x' x^T, D = sum x' (r - r')^T, (v - w*)^T H (v - w*),   w* = H^-1 (C w + D).
//
// w* is what the weights should be, given the data they will really meet: it takes back part of what was
// rounded before. H gets a multiple of the identity (damping), which also draws w* towards w where the data
// say little. Where the layer has a bias, means are taken out of H and C and go to the bias.
#pragma once

#include <cstdint>
#include <vector>

#include "quant/moments.h"

namespace narrow::quant {

struct RoundingProblem {
  int64_t k = 0, n = 0;
  std::vector<float> hessian;  // [k, k], damped
  std::vector<float> factor;   // [k, k] upper: hessian = factor^T factor
  std::vector<float> target;   // [k, n]  w*
  /// [k, n]: 1 where v must be zero (pruned weights, prune.h); empty: nowhere.
  std::vector<uint8_t> zero;
  /// [k, n]: 1 where v is no code but an FP16 number (weights_apart.h); empty: nowhere.
  std::vector<uint8_t> apart = {};
  bool is_apart(int64_t at_k, int64_t at_n) const {
    return !apart.empty() && apart[static_cast<size_t>(at_k * n + at_n)] != 0;
  }
  bool is_zero(int64_t at_k, int64_t at_n) const {
    return !zero.empty() && zero[static_cast<size_t>(at_k * n + at_n)] != 0;
  }
};

struct ProblemOptions {
  /// Of the mean of the diagonal of H.
  double damping = 0.03;
  bool centred = false;  // the layer has a bias that takes the means
};

/// `damping`, or more where hardly more rows were seen than weights are summed: codes would be fitted to the
/// rows seen. With fewer rows than 2 k at least k / rows.
double damping_for(const Moments& moments, double damping);

/// `weights`: [k, n] of the group the moments are of.
RoundingProblem make_problem(const Moments& moments, const std::vector<float>& weights,
                             const ProblemOptions& options);

/// R, upper, of H = R^T R with H [k, k] positive definite.
std::vector<float> upper_factor(const std::vector<float>& hessian, int64_t k);

/// (v - w*)^T H (v - w*) summed over columns, of v [k, n].
double error_of(const RoundingProblem& problem, const std::vector<float>& rounded);

}  // namespace narrow::quant
