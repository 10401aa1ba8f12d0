#include "quant/plan_formats.h"
#include "quant/regions.h"
#include "quant/weights.h"

namespace narrow::quant {
namespace {

/// Why a heavy node stays FP32, or nothing.
const char* stays_wide(const ir::Node& node) {
  if (node.op() == ir::Op::Conv && node.int_attr("group", 1) != 1)
    return "grouped: finding the scale costs more than the products";
  const ir::Value* bias = node.op() == ir::Op::Conv ? node.input(2) : nullptr;
  return bias != nullptr && !bias->is_constant() ? "its bias is computed" : nullptr;
}

}  // namespace

Recipe plan_int8_dynamic(const ir::Graph& graph, const calib::Profile* profile, const Wide& wide) {
  Recipe recipe;
  recipe.precision = Precision::int8_dynamic;
  for (const ir::Node* node : graph.nodes()) {
    const std::string& key = key_of(*node);
    if (wide.contains(key)) continue;
    if (is_large_table(*node)) recipe.tables[key] = weight_scales(node->input(0)->constant(), 1);
    if (!is_heavy(*node)) continue;
    if (const char* reason = stays_wide(*node)) {
      recipe.nodes[key] = {NodeFormat::fp32, reason};
      continue;
    }
    const Tensor& weights = weights_of(*node)->constant();
    Quantization quant = weight_scales(weights, channel_axis(*node));
    if (profile != nullptr)
      correct_bias(*node, *profile, dequantize_weights(quantize_weights(weights, quant), quant), recipe);
    recipe.nodes[key] = {NodeFormat::int8_dynamic, ""};
    recipe.weights[key] = std::move(quant);
  }
  widen_layers(graph, profile, wide, recipe);
  return recipe;
}

}  // namespace narrow::quant
