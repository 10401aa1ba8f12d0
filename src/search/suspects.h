// The layers a search widens, likeliest culprit first.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"
#include "quant/recipe.h"
#include "verify/layers.h"

namespace narrow::search {

struct Suspect {
  std::string key;     // quant::key_of the node
  std::string node;    // ONNX name, for people
  double sqnr_db = 0;  // alone; 200 where it was not measured
};

/// heavy: convolutions and products; all: every node that the report measured by itself, too.
enum class Which : uint8_t { heavy, all };

/// Nodes that `recipe` computes in something narrower than FP32, worst isolated SQNR first.
std::vector<Suspect> rank_suspects(const ir::Graph& graph, const quant::Recipe& recipe,
                                   const std::vector<verify::LayerReport>& layers, Which which);

}  // namespace narrow::search
