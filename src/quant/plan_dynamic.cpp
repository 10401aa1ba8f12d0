#include "quant/plan_formats.h"
#include "quant/plan_layer.h"
#include "quant/regions.h"
#include "quant/weights.h"

namespace narrow::quant {

Recipe plan_int8_dynamic(const ir::Graph& graph, const calib::Profile* profile, const Wide& wide,
                         const LayerOptions& layers) {
  Recipe recipe;
  recipe.precision = Precision::int8_dynamic;
  for (const ir::Node* node : graph.nodes()) {
    const std::string& key = key_of(*node);
    if (wide.contains(key)) continue;
    if (is_large_table(*node)) recipe.tables[key] = weight_scales(node->input(0)->constant(), 1);
    if (is_heavy(*node)) recipe.nodes[key] = plan_dynamic_layer(*node, profile, recipe);
  }
  plan_wide_layers(graph, profile, wide, layers, recipe);
  return recipe;
}

}  // namespace narrow::quant
