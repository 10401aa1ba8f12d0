// Graphs inside nodes: the bodies of If, Loop, Scan and the mods of FlexAttention.
#pragma once

#include <string>

#include "runtime/reference/common.h"

namespace narrow::runtime::reference {

/// The graph that the attribute holds. Error: invalid_data when it holds none.
Result<const ir::Graph*> subgraph(const ir::Node& node, const std::string& attr);

/// Runs `body` on tensors in the order of its inputs; results in the order of its outputs.
Outputs run_subgraph(const ir::Node& node, const ir::Graph& body, const std::vector<Tensor>& inputs);

}  // namespace narrow::runtime::reference
