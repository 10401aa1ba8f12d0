// What a layer's quantized results must be multiplied with to lie as near to the original's as they can.
//
// y = w^T x + r - r' in the original, z = v^T x' in the quantized model, means taken out where a bias takes
// them. Of all factors, a = E[z y] / E[z z] leaves the least E[(y - a z)^2]
// (docs/methods/bias-correction.md).
#pragma once

#include <vector>

#include "quant/moments.h"

namespace narrow::quant {

/// A factor per result channel. `original` and `rounded`: [k, n] of the group that `moments` are of. 1 where
/// a channel's results are all alike, or the fit is not within a half and two.
std::vector<float> variance_factors(const Moments& moments, const std::vector<float>& original,
                                    const std::vector<float>& rounded, bool centred);

/// Column n of `values` [k, n] times factors[n].
void scale_columns(std::vector<float>& values, const std::vector<float>& factors);

}  // namespace narrow::quant
