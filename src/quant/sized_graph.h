// A graph as it is for inputs of known shapes.
#pragma once

#include <map>
#include <string>

#include "ir/graph.h"

namespace narrow::quant {

/// A copy of the graph with these shapes of its inputs, what depends on shapes alone computed: the values
/// that are left keep their names. Where the shapes do not fit, the graph as it is.
ir::Graph sized_graph(const ir::Graph& graph, const std::map<std::string, Shape>& shapes);

}  // namespace narrow::quant
