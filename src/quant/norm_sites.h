// Normalisations over the last axis, whether one operator or written in primitive ones, with the constants
// behind them.
#pragma once

#include <unordered_set>
#include <vector>

#include "ir/graph.h"

namespace narrow::quant {

/// A constant that a normalisation reads; node null: it has none.
struct NormConstant {
  ir::Node* node = nullptr;
  int input = 0;
};

/// result = (x [- mean x]) / sqrt(mean of squares + eps) * gamma + beta.
struct NormSite {
  ir::Value *x, *result;
  bool centred;                                // takes the mean off
  NormConstant gamma, beta;                    // FP32, along the last axis
  std::unordered_set<const ir::Node*> inside;  // every node of it
};

/// In the order of the graph. `graph`: portable and typed. Those with other constants, of another axis, or
/// whose inner values are read elsewhere are not among them.
std::vector<NormSite> find_norms(const ir::Graph& graph);

}  // namespace narrow::quant
