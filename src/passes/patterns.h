// Norms and attentions in primitive ops, as the engine's passes will recognise them: for those who plan for
// the graph before.
#pragma once

#include <vector>

#include "ir/graph.h"

namespace narrow::passes {

struct Pattern {
  std::vector<const ir::Node*> nodes;  // all that become one
  const ir::Value* result;
};

/// What recognise_layernorm and recognise_rmsnorm take, in the order of the graph.
std::vector<Pattern> norm_patterns(const ir::Graph& graph);

/// What recognise_attention takes, in the order of the graph. Needs static shapes.
std::vector<Pattern> attention_patterns(const ir::Graph& graph);

}  // namespace narrow::passes
