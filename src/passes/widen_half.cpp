// A model in FP16 or BF16 becomes its FP32 original: constants are widened, nothing computes in halves.
//
// Inputs and outputs keep their types, with a Cast behind and before them. Every half number is an FP32
// number, so what remains of the halves is the rounding between operators, and that is gone: the reference is
// what the weights say. Bodies of If, Loop and Scan are widened too, their inputs included.
#include <unordered_set>

#include "ir/onnx_types.h"
#include "ir/schema.h"
#include "passes/list.h"
#include "passes/match.h"

namespace narrow::passes {
namespace {

bool is_half(DType type) { return type == DType::bf16 || type == DType::f16; }

int64_t widen_graph(Graph& graph, bool is_body);

/// True when the attribute was, or held, a half type.
bool widen_attribute(const std::string& name, ir::Attribute& attribute) {
  if (auto* tensor = std::get_if<Tensor>(&attribute)) {
    if (!is_half(tensor->dtype())) return false;
    *tensor = cast(*tensor, DType::f32);
    return true;
  }
  if (auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute)) {
    auto widened = std::make_shared<Graph>((*body)->clone());
    for (Value* input : widened->inputs())
      if (is_half(input->type.dtype)) input->type.dtype = DType::f32;
    if (widen_graph(*widened, true) == 0) return false;
    *body = std::move(widened);
    return true;
  }
  auto* type = std::get_if<int64_t>(&attribute);
  const bool names_type = name == "to" || name == "dtype" || name == "output_dtype";
  if (type == nullptr || !names_type ||
      (*type != ir::onnx_of_dtype(DType::f16) && *type != ir::onnx_of_dtype(DType::bf16)))
    return false;
  *type = ir::onnx_of_dtype(DType::f32);
  return true;
}

/// The Cast before a half output of the model.
bool is_border(const Graph& graph, const Value* value) {
  const Node* cast = producer_of(value, Op::Cast);
  return cast != nullptr && cast->input(0)->type.dtype == DType::f32 && graph.is_graph_output(value) &&
         graph.readers(value) == 1;
}

/// What is inside: constants, attributes, and the types of values, to be inferred again.
int64_t widen_graph(Graph& graph, bool is_body) {
  int64_t changed = 0;
  std::unordered_set<const Node*> borders;
  for (Value* value : graph.values()) {
    if (!is_half(value->type.dtype) || value->is_graph_input()) continue;
    if (!is_body && is_border(graph, value)) {
      borders.insert(value->producer());
      continue;
    }
    if (value->is_constant()) graph.set_constant(value, cast(value->constant(), DType::f32));
    value->type.dtype = DType::f32;
    ++changed;
  }
  for (Node* node : graph.nodes()) {
    if (borders.contains(node)) continue;
    for (auto& [name, attribute] : node->attrs) changed += widen_attribute(name, attribute) ? 1 : 0;
  }
  return changed;
}

Value* add_cast(Graph& graph, Value* value, DType to, const std::string& suffix) {
  Value* result =
      graph.add_node(Op::Cast, {value}, {value->name + suffix}, {{"to", ir::onnx_of_dtype(to)}})->output();
  result->type = value->type;
  result->type.dtype = to;
  return result;
}

}  // namespace

Result<int64_t> widen_half(Graph& graph, const PassContext& context) {
  (void)context;
  std::vector<DType> wanted;
  for (const ir::GraphOutput& output : graph.outputs()) wanted.push_back(output.value->type.dtype);
  int64_t changed = widen_graph(graph, false);
  for (Value* input : graph.inputs()) {
    if (!is_half(input->type.dtype) || input->uses().empty()) continue;
    if (only_reader(graph, input, Op::Cast) != nullptr) continue;  // widened already
    const std::vector<ir::Use> uses = input->uses();
    Value* wide = add_cast(graph, input, DType::f32, "_f32");
    for (const ir::Use& use : uses) graph.set_input(use.node, use.index, wide);
    wide->origin = input->origin.empty() ? input->name : input->origin;
    ++changed;
  }
  for (size_t i = 0; changed > 0 && i < graph.outputs().size(); ++i) {
    Value* value = graph.outputs()[i].value;
    if (is_half(wanted[i]) && value->type.dtype == DType::f32)
      graph.set_output(i, add_cast(graph, value, wanted[i], "_half"));
  }
  return changed;
}

}  // namespace narrow::passes
