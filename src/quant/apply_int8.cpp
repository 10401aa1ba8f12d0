#include <unordered_map>

#include "passes/quant_view.h"
#include "quant/apply_steps.h"
#include "quant/regions.h"
#include "quant/weights.h"

namespace narrow::quant {
namespace {

/// Q and DQ behind every stored value; readers that are integer nodes, or whose value exists only as
/// integers, take them.
void quantize_activations(Graph& graph, const Recipe& recipe) {
  for (const auto& [name, quant] : recipe.activations) {
    Value* value = graph.find_value(name);
    NARROW_CHECK(value != nullptr);
    const bool made_by_integers =
        value->producer() != nullptr && computes_in_bytes(format_of(recipe, *value->producer()));
    const std::vector<ir::Use> uses = value->uses();
    Value* scale = graph.add_constant(name + "_scale", Tensor::scalar(quant.scale[0]));
    const Tensor zero_point = recipe.target == Target::tensorrt
                                  ? Tensor::scalar(static_cast<int8_t>(quant.zero_point[0]))
                                  : Tensor::scalar(static_cast<uint8_t>(quant.zero_point[0]));
    Value* zero = graph.add_constant(name + "_zero_point", zero_point);
    Value* codes =
        graph
            .add_node(Op::QuantizeLinear, {value, scale, zero}, {name + "_quantized"}, {}, name + "_quantize")
            ->output();
    Value* real = graph
                      .add_node(Op::DequantizeLinear, {codes, scale, zero}, {name + "_dequantized"}, {},
                                name + "_dequantize")
                      ->output();
    const std::string& origin = value->origin.empty() ? name : value->origin;
    codes->origin = real->origin = origin;
    codes->origin_perm = real->origin_perm = value->origin_perm;
    for (const ir::Use& use : uses)
      if (made_by_integers || computes_in_bytes(format_of(recipe, *use.node)))
        graph.set_input(use.node, use.index, real);
  }
}

/// Codes of 4 bits in groups, whose scales are codes of 4 bits themselves.
Value* add_stepped(Graph& graph, const GroupedWeights& weights, const CodeSteps& steps,
                   const Quantization& channels, const std::string& name) {
  Value* step = graph.add_constant(name + "_step", steps.step);
  Value* scale = add_dequantize(graph, step, channels, DType::u4, name + "_step");
  Value* codes = graph.add_constant(name + "_quantized", weights.codes);
  Value* zero = graph.add_constant(name + "_zero_point", weights.zero_point);
  return graph
      .add_node(Op::DequantizeLinear, {codes, scale, zero}, {name + "_dequantized"},
                {{"axis", steps.axis}, {"block_size", steps.group_size}}, name + "_dequantize")
      ->output();
}

Value* add_weights(Graph& graph, const Recipe& recipe, const Node& node, const std::string& name) {
  const Tensor bytes = weight_codes(recipe, node);
  const Quantization& quant = recipe.weights.at(key_of(node));
  const auto steps = recipe.four_bit.find(key_of(node));
  const bool four_bit = steps != recipe.four_bit.end();
  if (four_bit && steps->second.has_groups())
    return add_stepped(graph, grouped_of(bytes, quant, steps->second), steps->second, quant, name);
  const DType stored = four_bit ? DType::s4 : DType::s8;
  return add_dequantize(graph, graph.add_constant(name + "_quantized", cast(bytes, stored)), quant, stored,
                        name);
}

void quantize_parameters(Graph& graph, const Recipe& recipe,
                         const std::unordered_map<const Node*, float>& input_scale) {
  for (Node* node : graph.nodes()) {
    const auto weights = node->outputs().empty() ? recipe.weights.end() : recipe.weights.find(key_of(*node));
    if (weights == recipe.weights.end() || !computes_in_bytes(format_of(recipe, *node))) continue;
    const Quantization& quant = weights->second;
    const Value* original = node->input(1);
    Value* bias = node->op() == Op::MatMul ? nullptr : node->input(2);
    const std::string bias_name = bias != nullptr ? bias->name : original->name + "_bias";
    graph.set_input(node, 1, add_weights(graph, recipe, *node, original->name));
    const std::optional<Tensor> real =
        corrected_bias(recipe, *node, static_cast<int64_t>(quant.scale.size()));
    if (!real) continue;
    if (recipe.target == Target::tensorrt) {
      graph.set_input(node, 2, graph.add_constant(bias_name, *real));
      continue;
    }
    const float x_scale = input_scale.at(node);
    Quantization bias_quant{
        .scale = quant.scale, .zero_point = std::vector<int32_t>(quant.scale.size(), 0), .axis = 0};
    for (float& s : bias_quant.scale) s *= x_scale;
    Value* bias_codes = graph.add_constant(bias_name + "_quantized", quantize_bias(*real, x_scale, quant));
    graph.set_input(node, 2, add_dequantize(graph, bias_codes, bias_quant, DType::s32, bias_name));
  }
}

/// Before activations are rewired: the scale of the data each heavy node reads.
std::unordered_map<const Node*, float> input_scales(const Graph& graph, const Recipe& recipe) {
  std::unordered_map<const Node*, float> scales;
  for (const Node* node : graph.nodes())
    if (recipe.weights.contains(key_of(*node)) && computes_in_bytes(format_of(recipe, *node)))
      scales[node] = recipe.activations.at(node->input(0)->name).scale[0];
  return scales;
}

}  // namespace

void apply_int8(Graph& graph, const Recipe& recipe) {
  if (recipe.activations.empty()) return;
  quantize_parameters(graph, recipe, input_scales(graph, recipe));
  quantize_activations(graph, recipe);
  graph.metadata[passes::kActivationsKey] = passes::kParabolas;
}

}  // namespace narrow::quant
