// Changes to the engine's unfused graph before it is differentiated.
#pragma once

#include <set>
#include <string>

#include "ir/graph.h"

namespace narrow::quant::gradient {

/// Relu and Clip that alone read a product go into it: values between them need no memory.
void fuse_bounds(ir::Graph& graph);

/// Names of inputs and outputs that lie as [N,H,W,C] now.
struct LyingBorders {
  std::set<std::string> inputs, outputs;
};
/// Takes the Transposes at the graph's borders out: who runs the graph gives and takes images channels last.
LyingBorders open_borders(ir::Graph& graph);

}  // namespace narrow::quant::gradient
