#include "ir/onnx_types.h"
#include "quant/apply_steps.h"
#include "quant/regions.h"

namespace narrow::quant {
namespace {

/// The scales in FP32: FP16 ones are stored so and widened by a Cast.
Value* add_scales(Graph& graph, const GroupedWeights& weights, const std::string& name) {
  Value* stored = graph.add_constant(name + "_scale", weights.scale);
  if (weights.scale.dtype() == DType::f32) return stored;
  return graph
      .add_node(Op::Cast, {stored}, {name + "_scale_f32"}, {{"to", ir::onnx_of_dtype(DType::f32)}},
                name + "_scale_cast")
      ->output();
}

}  // namespace

void apply_groups(Graph& graph, const Recipe& recipe) {
  for (Node* node : graph.nodes()) {
    const auto found = node->outputs().empty() ? recipe.groups.end() : recipe.groups.find(key_of(*node));
    if (found == recipe.groups.end()) continue;
    const GroupedWeights& weights = found->second;
    const std::string name = node->input(1)->name;
    std::vector<Value*> inputs = {graph.add_constant(name + "_quantized", weights.codes),
                                  add_scales(graph, weights, name)};
    if (weights.zero_point.defined())
      inputs.push_back(graph.add_constant(name + "_zero_point", weights.zero_point));
    ir::Attributes attrs{{"axis", weights.axis}};
    if (weights.group_size > 0) attrs["block_size"] = weights.group_size;
    Value* real = graph
                      .add_node(Op::DequantizeLinear, std::move(inputs), {name + "_dequantized"},
                                std::move(attrs), name + "_dequantize")
                      ->output();
    graph.set_input(node, 1, real);
  }
}

}  // namespace narrow::quant
