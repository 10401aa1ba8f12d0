// A part of a graph as a graph of its own.
#pragma once

#include <vector>

#include "ir/graph.h"

namespace narrow::ir {

/// The nodes between `inputs` and `outputs`. Values, nodes and constants keep their names and types,
/// constants share their memory, and each value's origin is its name in `graph`. `outputs` are named like
/// their values. Precondition: what `outputs` need and `inputs` do not cut off are nodes and constants; no
/// output is an input.
Graph extract(const Graph& graph, const std::vector<const Value*>& inputs,
              const std::vector<const Value*>& outputs);

}  // namespace narrow::ir
