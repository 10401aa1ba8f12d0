#include <map>
#include <unordered_map>

#include "ir/onnx_types.h"
#include "quant/apply_steps.h"
#include "quant/regions.h"

namespace narrow::quant {
namespace {

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
      if (it == type_.end() && node->op() == Op::Cast) continue;  // takes any type: FP16 scales stay so
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
      if (is_float(dtype_of(value)) && dtype_of(value) != value->type.dtype)  // still the type it had
        graph_.set_output(i, converted(value, value->type.dtype));
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

void apply_half(Graph& graph, const Recipe& recipe) { HalfConversion(graph, recipe).run(); }

}  // namespace narrow::quant
