#include "quant/apply.h"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>

#include "ir/onnx_types.h"
#include "ir/schema.h"
#include "quant/regions.h"
#include "quant/weights.h"

namespace narrow::quant {
namespace {

using ir::Graph;
using ir::Node;
using ir::Op;
using ir::Value;

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
  return graph.add_node(Op::DequantizeLinear, inputs, {name + "_dequantized"}, attrs, name + "_dequantize")
      ->output();
}

// ---------------------------------------------------------------- int8

/// Q and DQ behind every stored value; readers that are integer nodes, or whose value exists only as
/// integers, take them.
void quantize_activations(Graph& graph, const Recipe& recipe) {
  for (const auto& [name, quant] : recipe.activations) {
    Value* value = graph.find_value(name);
    NARROW_CHECK(value != nullptr);
    const bool made_by_integers =
        value->producer() != nullptr && format_of(recipe, *value->producer()) == NodeFormat::int8;
    const std::vector<ir::Use> uses = value->uses();
    Value* scale = graph.add_constant(name + "_scale", Tensor::scalar(quant.scale[0]));
    Value* zero =
        graph.add_constant(name + "_zero_point", Tensor::scalar(static_cast<uint8_t>(quant.zero_point[0])));
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
      if (made_by_integers || format_of(recipe, *use.node) == NodeFormat::int8)
        graph.set_input(use.node, use.index, real);
  }
}

/// The bias of a heavy node with its correction: nothing when it has neither, or is not a plain vector.
std::optional<Tensor> corrected_bias(const Recipe& recipe, const Node& node, int64_t channels) {
  const Value* bias = node.op() == Op::MatMul ? nullptr : node.input(2);
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

/// Corrected FP32 biases of bf16 and fp16 nodes.
void correct_half_biases(Graph& graph, const Recipe& recipe) {
  for (Node* node : graph.nodes()) {
    const NodeFormat format = node->outputs().empty() ? NodeFormat::fp32 : format_of(recipe, *node);
    if ((format != NodeFormat::bf16 && format != NodeFormat::fp16) ||
        !recipe.bias_corrections.contains(key_of(*node)))
      continue;
    const auto channels = static_cast<int64_t>(recipe.bias_corrections.at(key_of(*node)).size());
    const std::optional<Tensor> bias = corrected_bias(recipe, *node, channels);
    if (bias) graph.set_input(node, 2, graph.add_constant(node->input(1)->name + "_bias", *bias));
  }
}

Status quantize_parameters(Graph& graph, const Recipe& recipe,
                           const std::unordered_map<const Node*, float>& input_scale) {
  for (Node* node : graph.nodes()) {
    const auto weights = node->outputs().empty() ? recipe.weights.end() : recipe.weights.find(key_of(*node));
    if (weights == recipe.weights.end()) continue;
    const Quantization& quant = weights->second;
    const Value* original = node->input(1);
    Value* codes =
        graph.add_constant(original->name + "_quantized", quantize_weights(original->constant(), quant));
    Value* bias = node->op() == Op::MatMul ? nullptr : node->input(2);
    const std::string bias_name = bias != nullptr ? bias->name : original->name + "_bias";
    graph.set_input(node, 1, add_dequantize(graph, codes, quant, DType::s8, original->name));
    const std::optional<Tensor> real =
        corrected_bias(recipe, *node, static_cast<int64_t>(quant.scale.size()));
    if (!real) continue;
    const float x_scale = input_scale.at(node);
    Quantization bias_quant{
        .scale = quant.scale, .zero_point = std::vector<int32_t>(quant.scale.size(), 0), .axis = 0};
    for (float& s : bias_quant.scale) s *= x_scale;
    Value* bias_codes = graph.add_constant(bias_name + "_quantized", quantize_bias(*real, x_scale, quant));
    graph.set_input(node, 2, add_dequantize(graph, bias_codes, bias_quant, DType::s32, bias_name));
  }
  return {};
}

/// Rows are taken from the codes of a table and dequantized afterwards.
void quantize_tables(Graph& graph, const Recipe& recipe) {
  for (Node* node : graph.nodes()) {
    const auto table = node->outputs().empty() ? recipe.tables.end() : recipe.tables.find(key_of(*node));
    if (table == recipe.tables.end()) continue;
    Value* rows = node->output();
    const Value* original = node->input(0);
    Value* codes = graph.add_constant(original->name + "_quantized",
                                      quantize_weights(original->constant(), table->second));
    Value* taken = graph
                       .add_node(Op::Gather, {codes, node->input(1)}, {rows->name + "_codes"},
                                 {{"axis", int64_t{0}}}, node->name)
                       ->output();
    Quantization columns = table->second;
    columns.axis = rows->type.rank() - 1;
    Value* real = add_dequantize(graph, taken, columns, DType::s8, rows->name);
    real->origin = rows->origin.empty() ? rows->name : rows->origin;
    real->origin_perm = rows->origin_perm;
    graph.replace_all_uses(rows, real);
  }
}

/// Before activations are rewired: the scale of the data each heavy node reads.
std::unordered_map<const Node*, float> input_scales(const Graph& graph, const Recipe& recipe) {
  std::unordered_map<const Node*, float> scales;
  for (const Node* node : graph.nodes())
    if (recipe.weights.contains(key_of(*node)))
      scales[node] = recipe.activations.at(node->input(0)->name).scale[0];
  return scales;
}

// ---------------------------------------------------------------- bf16, fp16

/// Inputs that stay FP32 beside narrow data: biases and normalisation parameters.
bool stays_fp32(const Node& node, int index) {
  if (node.op() == Op::Conv || node.op() == Op::Gemm) return index == 2;
  if (node.op() == Op::LayerNormalization || node.op() == Op::RMSNormalization) return index >= 1;
  if (node.op() == Op::Attention) return index == 3;
  if (node.op() == Op::Resize) return index >= 1;
  return false;
}

class HalfConversion {
 public:
  HalfConversion(Graph& graph, const Recipe& recipe) : graph_(graph) {
    for (Node* node : graph.nodes()) {
      const NodeFormat format = node->outputs().empty() ? NodeFormat::fp32 : format_of(recipe, *node);
      if (format == NodeFormat::bf16) type_[node] = DType::bf16;
      if (format == NodeFormat::fp16) type_[node] = DType::f16;
    }
  }

  void run() {
    if (type_.empty()) return;
    for (Node* node : graph_.nodes()) {
      const auto it = type_.find(node);
      const DType wanted = it == type_.end() ? DType::f32 : it->second;
      for (int i = 0; i < static_cast<int>(node->inputs().size()); ++i) {
        Value* input = node->input(i);
        if (input == nullptr) continue;
        const DType want = wanted != DType::f32 && stays_fp32(*node, i) ? DType::f32 : wanted;
        if (dtype_of(input) != want && is_float(dtype_of(input)))
          graph_.set_input(node, i, converted(input, want));
      }
    }
    for (size_t i = 0; i < graph_.outputs().size(); ++i) {
      Value* value = graph_.outputs()[i].value;
      if (is_float(dtype_of(value)) && dtype_of(value) != DType::f32)
        graph_.set_output(i, converted(value, DType::f32));
    }
  }

 private:
  /// What the value will be once types are inferred again.
  DType dtype_of(const Value* value) const {
    if (value->producer() == nullptr || value->type.dtype != DType::f32) return value->type.dtype;
    const auto it = type_.find(value->producer());
    return it == type_.end() ? value->type.dtype : it->second;
  }

  Value* converted(Value* value, DType to) {
    Value*& known = converted_[{value, to}];
    if (known != nullptr) return known;
    if (value->is_constant())
      return known = graph_.add_constant(value->name + "_" + to_string(to), cast(value->constant(), to));
    known =
        graph_
            .add_node(Op::Cast, {value}, {value->name + "_" + to_string(to)}, {{"to", ir::onnx_of_dtype(to)}})
            ->output();
    known->type = value->type;
    known->type.dtype = to;
    return known;
  }

  Graph& graph_;
  std::unordered_map<const Node*, DType> type_;
  std::map<std::pair<Value*, DType>, Value*> converted_;
};

}  // namespace

Result<Graph> apply(const Graph& original, const Recipe& recipe) {
  Graph graph = original.clone();
  if (!recipe.activations.empty() || !recipe.tables.empty()) {
    const auto scales = input_scales(graph, recipe);
    NARROW_DO(quantize_parameters(graph, recipe, scales));
    quantize_activations(graph, recipe);
    quantize_tables(graph, recipe);  // last: recipes know values by the names they had
    // The conversion below goes by types, which the new nodes have only now.
    NARROW_DO(graph.sort());
    NARROW_DO(ir::infer_types(graph));
  }
  correct_half_biases(graph, recipe);
  HalfConversion(graph, recipe).run();
  graph.remove_dead();
  NARROW_DO(graph.sort());
  NARROW_DO(ir::infer_types(graph));
  NARROW_DO(ir::verify(graph));
  return graph;
}

}  // namespace narrow::quant
