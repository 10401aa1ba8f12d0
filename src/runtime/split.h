// A graph whose shapes depend on data somewhere, cut before that place: the head has a plan, the tail does
// not.
#pragma once

#include "base/result.h"
#include "ir/graph.h"

namespace narrow::runtime {

struct Split {
  ir::Graph head;  // the graph's inputs; returns every value of its own that the tail reads, by its name
  ir::Graph tail;  // reads those, and inputs of the graph, by their names; returns what the graph does
};

/// Head: every node whose inputs all have static shapes, as have its outputs; tail: the rest. Both are typed
/// and in order; either may be without nodes.
Result<Split> split_static(const ir::Graph& graph);

}  // namespace narrow::runtime
