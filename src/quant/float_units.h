// Norms and attentions: what int8 leaves in FP32, half formats do not, and takes enough time to be worth a
// choice.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace narrow::quant {

/// One of them, or a product of two computed values: one node, or several in primitive ops that have a format
/// together or not at all.
struct FloatUnit {
  std::string key, name;           // of the node that makes its result
  std::vector<std::string> nodes;  // keys of all of its nodes
  std::vector<std::string> able;   // of those that a half format can compute (half_region()), but for masks
};

/// In the order of the graph, by their results. `shapes`: of the inputs; attention in primitive ops is found
/// where they make the graph static.
std::vector<FloatUnit> float_units(const ir::Graph& graph, const std::map<std::string, Shape>& shapes);

}  // namespace narrow::quant
