#include "quant/apply.h"

#include "ir/schema.h"
#include "quant/apply_steps.h"
#include "quant/regions.h"
#include "quant/weights.h"

namespace narrow::quant {

NodeFormat format_of(const Recipe& recipe, const Node& node) {
  const auto it = recipe.nodes.find(key_of(node));
  return it == recipe.nodes.end() ? NodeFormat::fp32 : it->second.format;
}

Value* add_dequantize(Graph& graph, Value* codes, const Quantization& quant, DType zero_type,
                      const std::string& name) {
  const Shape shape = quant.per_tensor() ? Shape{} : Shape{static_cast<int64_t>(quant.scale.size())};
  std::vector<Value*> inputs = {codes, graph.add_constant(name + "_scale", Tensor::of(shape, quant.scale))};
  if (zero_type == DType::u8 || zero_type == DType::s8) {
    const std::vector<int64_t> zeros(quant.zero_point.begin(), quant.zero_point.end());
    inputs.push_back(graph.add_constant(name + "_zero_point", cast(Tensor::of(shape, zeros), zero_type)));
  }
  ir::Attributes attrs;
  if (!quant.per_tensor()) attrs["axis"] = quant.axis;
  return graph
      .add_node(ir::Op::DequantizeLinear, inputs, {name + "_dequantized"}, attrs, name + "_dequantize")
      ->output();
}

Tensor weight_codes(const Recipe& recipe, const Node& node) {
  const auto chosen = recipe.codes.find(key_of(node));
  if (chosen != recipe.codes.end()) return chosen->second;
  return quantize_weights(node.input(1)->constant(), recipe.weights.at(key_of(node)), 8);
}

Tensor nearest_codes(const Node& node, Recipe& recipe) {
  const Tensor& weights = node.input(1)->constant();
  const Quantization& channels = recipe.weights.at(key_of(node));
  const auto steps = recipe.four_bit.find(key_of(node));
  if (steps == recipe.four_bit.end()) return quantize_weights(weights, channels, 8);
  if (!steps->second.has_groups()) return quantize_weights(weights, channels, 4);
  SteppedWeights stepped = step_groups(weights, channels, steps->second.axis, steps->second.group_size);
  steps->second = std::move(stepped.steps);
  return std::move(stepped.bytes);
}

std::optional<Tensor> corrected_bias(const Recipe& recipe, const Node& node, int64_t channels) {
  const Value* bias = node.op() == ir::Op::MatMul ? nullptr : node.input(2);
  const auto correction = recipe.bias_corrections.find(key_of(node));
  if (bias == nullptr && correction == recipe.bias_corrections.end()) return std::nullopt;
  if (bias != nullptr &&
      (!bias->is_constant() || bias->constant().rank() != 1 || bias->constant().elements() != channels))
    return std::nullopt;
  Tensor real = bias != nullptr ? bias->constant().clone() : Tensor::zeros(DType::f32, {channels});
  if (correction == recipe.bias_corrections.end()) return real;
  auto values = real.mutable_data<float>();
  for (size_t c = 0; c < values.size(); ++c) values[c] += correction->second[c];
  return real;
}

void apply_bias_corrections(Graph& graph, const Recipe& recipe) {
  for (Node* node : graph.nodes()) {
    const NodeFormat format = node->outputs().empty() ? NodeFormat::fp32 : format_of(recipe, *node);
    const bool keeps_bias =
        format == NodeFormat::bf16 || format == NodeFormat::fp16 || is_weight_only(format);
    if (!keeps_bias || !recipe.bias_corrections.contains(key_of(*node))) continue;
    const auto channels = static_cast<int64_t>(recipe.bias_corrections.at(key_of(*node)).size());
    const std::optional<Tensor> bias = corrected_bias(recipe, *node, channels);
    if (bias) graph.set_input(node, 2, graph.add_constant(node->input(1)->name + "_bias", *bias));
  }
}

Result<Graph> apply(const Graph& original, const Recipe& recipe) {
  Graph graph = original.clone();
  // Recipes know nodes and values by the names they had: steps that rename outputs come after those that
  // look.
  apply_int8(graph, recipe);
  apply_bias_corrections(graph, recipe);
  apply_dynamic(graph, recipe);
  apply_groups(graph, recipe);
  apply_tables(graph, recipe);
  // What follows goes by types, which the new nodes have only now.
  NARROW_DO(graph.sort());
  NARROW_DO(ir::infer_types(graph));
  apply_half(graph, recipe);
  graph.remove_dead();
  NARROW_DO(graph.sort());
  NARROW_DO(ir::infer_types(graph));
  NARROW_DO(ir::verify(graph));
  return graph;
}

}  // namespace narrow::quant
