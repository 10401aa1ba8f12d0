#include "search/suspects.h"

#include <algorithm>
#include <map>

#include "quant/regions.h"
#include "quant/wide.h"

namespace narrow::search {

std::vector<Suspect> rank_suspects(const ir::Graph& graph, const quant::Recipe& recipe,
                                   const std::vector<verify::LayerReport>& layers, Which which) {
  std::map<std::string, double> sqnr;
  for (const verify::LayerReport& layer : layers)
    if (layer.computes) sqnr[layer.node] = layer.isolated.distortion.sqnr_db();
  std::vector<Suspect> suspects;
  for (const ir::Node* node : graph.nodes()) {
    if (node->outputs().empty()) continue;
    const auto choice = recipe.nodes.find(quant::key_of(*node));
    if (choice == recipe.nodes.end() || choice->second.format == quant::NodeFormat::fp32) continue;
    const std::string& name = quant::name_of(*node);
    const auto measured = sqnr.find(name);
    if (!quant::is_heavy(*node) && (which == Which::heavy || measured == sqnr.end())) continue;
    constexpr double kUnknown = 200;
    suspects.push_back({quant::key_of(*node), name, measured == sqnr.end() ? kUnknown : measured->second});
  }
  std::stable_sort(suspects.begin(), suspects.end(),
                   [](const Suspect& a, const Suspect& b) { return a.sqnr_db < b.sqnr_db; });
  return suspects;
}

}  // namespace narrow::search
