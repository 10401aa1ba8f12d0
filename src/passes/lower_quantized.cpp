// Ops between DequantizeLinear and QuantizeLinear become ops on quantized values.
//
//   products       FusedConv/FusedMatMul(DQ(x), DQ(W), b, r) with 8-bit x and symmetric constant W: integers
//   in, integers
//                  (when QuantizeLinear alone reads the result) or float out; lower_products.cpp
//   other ops      each DQ operand is read as its integers, and a QuantizeLinear that alone reads the result
//   says what is
//                  stored (out_dtype and the value's Quantization): computed on the real numbers, rounded
//                  once, as before
//   QuantizeLinear(DequantizeLinear(q))  with other parameters -> Identity from one format to the other
//   QuantizeLinear(Relu(v)), Clip(v)     the clamp goes where the integer range ends at its bounds anyway
//
// Several DequantizeLinear nodes may read one value; those that float ops still need stay.
#include "ir/schema.h"
#include "passes/list.h"
#include "passes/lower_products.h"

namespace narrow::passes {
namespace {

bool lower_op(Graph& graph, Node* node) {
  const int limit = format_free_inputs(node);
  if (limit == 0 || node->output()->type.dtype != DType::f32) return false;
  const auto sink = quantized_sink(graph, node->output());
  std::vector<Value*> inputs = node->inputs();
  bool any = false;
  for (size_t i = 0; i < inputs.size() && (limit < 0 || static_cast<int>(i) < limit); ++i) {
    const Node* dequantize = dequantize_behind(inputs[i]);
    if (dequantize == nullptr) {
      if (inputs[i] == nullptr || inputs[i]->type.dtype != DType::f32) return false;
      continue;
    }
    inputs[i] = labelled_operand(graph, dequantize);
    any = true;
  }
  // Concat in float is a copy; converting on the way only pays when the result is stored narrow.
  if ((!any && !sink) || (node->op() == Op::Concat && !sink)) return false;
  put_lowered(graph, node, std::move(inputs), sink);
  return true;
}

bool requantize(Graph& graph, Node* node) {
  if (node->op() != Op::QuantizeLinear || !node->output()->type.quant) return false;
  const Node* dequantize = dequantize_behind(node->input(0));
  if (dequantize == nullptr || dequantize->input(0)->is_constant()) return false;
  Attributes attrs{{"out_dtype", std::string(to_string(node->output()->type.dtype))}};
  const std::string origin = node->input(0)->origin;
  const auto perm = node->input(0)->origin_perm;
  Node* identity =
      replace_with(graph, node->output(), Op::Identity, {dequantize->input(0)}, std::move(attrs), node->name);
  identity->output()->origin = origin;
  identity->output()->origin_perm = perm;
  return true;
}

}  // namespace

Result<int64_t> lower_quantized(Graph& graph, const PassContext& context) {
  (void)context;
  NARROW_TRY(int64_t changed, label_quantized(graph));
  for (Node* node : graph.nodes()) {
    if (graph.is_dead(node) || node->outputs().empty()) continue;
    const bool done = lower_product(graph, node) || lower_op(graph, node) || requantize(graph, node);
    changed += done ? 1 : 0;
  }
  return changed;
}

}  // namespace narrow::passes
