// A BatchNormalization in inference:  y[c] = x[c] * scale[c] + shift[c]
#pragma once

#include "passes/match.h"

namespace narrow::passes {

struct Affine {
  std::vector<double> scale, shift;
};

/// scale = gamma / sqrt(var + eps), shift = beta - mean * scale. Nothing when it trains, returns running
/// statistics that somebody reads, or has parameters that are not constant vectors of one length.
std::optional<Affine> affine_of_batchnorm(const Graph& graph, const Node* bn);

}  // namespace narrow::passes
