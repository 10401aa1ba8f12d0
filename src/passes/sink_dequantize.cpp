// Movement happens on the integers and dequantization after it, so that integer regions grow:
//   M(DequantizeLinear(q))                  -> DequantizeLinear(M(q))       M: Reshape, Transpose, Slice,
//   Gather, Split, ... MaxPool, Resize(nearest), Pad(0), Concat of equal formats: likewise; scales are
//   positive, so maxima stay maxima QuantizeLinear(DequantizeLinear(q))     -> q with equal parameters
// A constant moves as plain integers, for constant folding; a Transpose of one takes its channel axis along.
#include <algorithm>

#include "ir/schema.h"
#include "passes/list.h"
#include "passes/quant_view.h"

namespace narrow::passes {
namespace {

bool is_zero_pad(const Node* node) {
  if (node->op() != Op::Pad) return false;
  if (node->string_attr("mode", "constant") != "constant") return true;  // copies elements
  return node->input(2) == nullptr || scalar_constant(node->input(2)) == 0.0;
}

/// Commutes with dequantization of a labelled value.
bool keeps_elements(const Node* node) {
  if (is_movement(node) || is_maximum(node) || is_zero_pad(node)) return true;
  return node->op() == Op::Resize && node->string_attr("mode", "nearest") == "nearest";
}

/// DequantizeLinear nodes like `model` on the outputs of `moved`, in the place of `node`'s.
Status dequantize_outputs(Graph& graph, Node* node, Node* moved, const Node* model, const Attributes& attrs) {
  NARROW_DO(ir::infer_types(*moved));
  // A copy, for the model may go with the last output.
  const std::vector<Value*> parameters(model->inputs().begin(), model->inputs().end());
  for (size_t i = 0; i < node->outputs().size(); ++i) {
    std::vector<Value*> inputs = parameters;
    inputs[0] = moved->outputs()[i];
    Node* dequantize =
        graph.add_node(Op::DequantizeLinear, std::move(inputs), {node->outputs()[i]->name}, attrs);
    NARROW_DO(ir::infer_types(*dequantize));
    take_place(graph, node->outputs()[i], dequantize->output());
  }
  return {};
}

std::vector<std::string> quantized_names(const Node* node) {
  std::vector<std::string> names;
  for (const Value* output : node->outputs()) names.push_back(output->name + "_q");
  return names;
}

Result<bool> sink(Graph& graph, Node* node) {
  if (!keeps_elements(node) || node->input(0) == nullptr) return false;
  const Node* dequantize = dequantize_behind(node->input(0));
  if (dequantize == nullptr || dequantize->input(0)->is_constant()) return false;
  std::vector<Value*> inputs = node->inputs();
  inputs[0] = dequantize->input(0);
  Node* moved = graph.add_node(node->op(), std::move(inputs), quantized_names(node), node->attrs, node->name);
  NARROW_DO(dequantize_outputs(graph, node, moved, dequantize, dequantize->attrs));
  return true;
}

/// A constant in any integer type, per tensor or (below a Transpose) per channel.
Result<bool> sink_constant(Graph& graph, Node* node) {
  const Node* dequantize = is_movement(node) ? producer_of(node->input(0), Op::DequantizeLinear) : nullptr;
  if (dequantize == nullptr || !dequantize->input(0)->is_constant()) return false;
  const auto quant = linear_parameters(dequantize);
  if (!quant || (!quant->per_tensor() && node->op() != Op::Transpose)) return false;
  Attributes attrs = dequantize->attrs;
  if (!quant->per_tensor()) {
    const auto perm = node->ints_attr("perm");
    const auto at = std::find(perm.begin(), perm.end(), quant->axis);
    if (at == perm.end()) return false;
    attrs["axis"] = static_cast<int64_t>(at - perm.begin());
  }
  std::vector<Value*> inputs = node->inputs();
  inputs[0] = dequantize->input(0);
  Node* moved = graph.add_node(node->op(), std::move(inputs), quantized_names(node), node->attrs, node->name);
  NARROW_DO(dequantize_outputs(graph, node, moved, dequantize, attrs));
  return true;
}

/// Concat whose operands all are dequantized the same way.
Result<bool> sink_concat(Graph& graph, Node* node) {
  if (node->op() != Op::Concat) return false;
  std::vector<Value*> inputs;
  const Node* first = nullptr;
  for (const Value* input : node->inputs()) {
    const Node* dequantize = dequantize_behind(input);
    if (dequantize == nullptr || dequantize->input(0)->is_constant()) return false;
    if (first == nullptr) first = dequantize;
    const bool same = dequantize->input(0)->type.dtype == first->input(0)->type.dtype &&
                      input->type.dtype == node->input(0)->type.dtype &&
                      *dequantize->input(0)->type.quant == *first->input(0)->type.quant;
    if (!same) return false;
    inputs.push_back(dequantize->input(0));
  }
  if (first == nullptr) return false;
  Node* moved = graph.add_node(Op::Concat, std::move(inputs), quantized_names(node), node->attrs, node->name);
  NARROW_DO(dequantize_outputs(graph, node, moved, first, first->attrs));
  return true;
}

bool cancel(Graph& graph, Node* node) {
  if (node->op() != Op::QuantizeLinear || graph.is_graph_output(node->output())) return false;
  const Node* dequantize = producer_of(node->input(0), Op::DequantizeLinear);
  if (dequantize == nullptr || dequantize->input(0)->is_constant()) return false;
  const auto from = per_tensor_parameters(dequantize), to = per_tensor_parameters(node);
  if (!from || !to || !(*from == *to) || dequantize->input(0)->type.dtype != node->output()->type.dtype)
    return false;
  graph.replace_all_uses(node->output(), dequantize->input(0));
  return true;
}

}  // namespace

Result<int64_t> sink_dequantize(Graph& graph, const PassContext& context) {
  (void)context;
  NARROW_TRY(int64_t changed, label_quantized(graph));
  for (Node* node : graph.nodes()) {
    if (graph.is_dead(node) || node->outputs().empty()) continue;
    NARROW_TRY(bool done, sink(graph, node));
    if (!done) {
      NARROW_TRY(done, sink_constant(graph, node));
    }
    if (!done) {
      NARROW_TRY(done, sink_concat(graph, node));
    }
    changed += done || cancel(graph, node) ? 1 : 0;
  }
  return changed;
}

}  // namespace narrow::passes
