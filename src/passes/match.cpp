#include "passes/match.h"

#include <algorithm>
#include <cmath>

#include "ir/schema.h"

namespace narrow::passes {

std::optional<double> scalar_constant(const Value* value) {
  if (value == nullptr || !value->is_constant() || value->constant().elements() != 1) return {};
  return static_cast<double>(to_floats(value->constant()).at(0));
}

bool is_scalar(const Value* value, double expected) {
  const auto number = scalar_constant(value);
  if (!number) return false;
  const DType type = value->type.dtype;
  const double tolerance = type == DType::bf16 ? 0x1p-8 : type == DType::f16 ? 0x1p-11 : 1e-6;
  return std::abs(*number - expected) <= tolerance * std::abs(expected);
}

std::optional<std::vector<int64_t>> int_constant(const Value* value) {
  if (value == nullptr || !value->is_constant() || !is_integer(value->type.dtype)) return {};
  return to_ints(value->constant());
}

bool is_float_constant(const Value* value) {
  return value != nullptr && value->is_constant() && is_float(value->type.dtype);
}

std::optional<std::vector<float>> per_channel(const Value* constant, int64_t rank, int64_t axis,
                                              int64_t channels) {
  if (!is_float_constant(constant) || constant->constant().rank() > rank) return {};
  const Tensor& tensor = constant->constant();
  const int64_t lead = rank - tensor.rank();
  for (int64_t i = 0; i < tensor.rank(); ++i) {
    if (tensor.dim(i) == 1 || (i + lead == axis && tensor.dim(i) == channels)) continue;
    return {};
  }
  std::vector<float> values = to_floats(tensor);
  if (values.size() == 1) values.resize(static_cast<size_t>(channels), values[0]);
  return values;
}

Value* add_ints(Graph& graph, const std::string& name, const std::vector<int64_t>& values) {
  return graph.add_constant(name, Tensor::of(Shape{static_cast<int64_t>(values.size())}, values));
}

Value* add_floats(Graph& graph, const std::string& name, Shape shape, const std::vector<float>& values) {
  return graph.add_constant(name, Tensor::of(std::move(shape), values));
}

Node* only_reader(const Graph& graph, const Value* value) {
  if (value == nullptr || value->uses().size() != 1 || graph.readers(value) != 1) return nullptr;
  return value->uses()[0].node;
}

Node* only_reader(const Graph& graph, const Value* value, Op op) {
  Node* node = only_reader(graph, value);
  return node != nullptr && node->op() == op ? node : nullptr;
}

Node* producer_of(const Value* value, Op op) {
  if (value == nullptr || value->producer() == nullptr || value->producer()->op() != op) return nullptr;
  return value->producer();
}

Value* other_input(const Node* node, const Value* value) {
  return node->input(0) == value ? node->input(1) : node->input(0);
}

bool only_used_inside(const Graph& graph, const std::unordered_set<const Node*>& inside,
                      const Value* result) {
  for (const Node* node : inside)
    for (const Value* output : node->outputs()) {
      if (output == result) continue;
      if (graph.is_graph_output(output)) return false;
      for (const ir::Use& use : output->uses())
        if (!inside.contains(use.node)) return false;
    }
  return true;
}

int64_t normalized_axis(int64_t axis, int64_t rank) { return axis < 0 ? axis + rank : axis; }

bool same_shape(const Value* a, const Value* b) {
  if (!a->type.ranked || !b->type.ranked || a->type.rank() != b->type.rank()) return false;
  for (size_t i = 0; i < a->type.dims.size(); ++i) {
    const ir::Dim &x = a->type.dims[i], &y = b->type.dims[i];
    if (!(x == y) || (!x.known() && x.symbol.empty())) return false;
  }
  return true;
}

int64_t known_dim(const Value* value, int64_t axis) {
  if (!value->type.ranked || axis < 0 || axis >= value->type.rank()) return -1;
  return value->type.dims[static_cast<size_t>(axis)].value;
}

bool is_reshape(const ir::TensorType& type, const std::vector<int64_t>& perm) {
  if (!type.ranked || type.rank() != static_cast<int64_t>(perm.size())) return false;
  int64_t last = -1;
  for (const int64_t axis : perm) {
    if (type.dims.at(static_cast<size_t>(axis)).value == 1) continue;
    if (axis < last) return false;
    last = axis;
  }
  return true;
}

std::vector<int64_t> inverse_perm(const std::vector<int64_t>& perm) {
  std::vector<int64_t> inverse(perm.size());
  for (size_t i = 0; i < perm.size(); ++i) inverse.at(static_cast<size_t>(perm[i])) = static_cast<int64_t>(i);
  return inverse;
}

std::optional<std::vector<int64_t>> axes_input(const Node* node, int input, int64_t rank) {
  auto axes = int_constant(node->input(input));
  if (!axes) return {};
  for (int64_t& axis : *axes) axis = normalized_axis(axis, rank);
  std::sort(axes->begin(), axes->end());
  return axes;
}

Result<Value*> emit(Graph& graph, Op op, std::vector<Value*> inputs, const std::string& name,
                    Attributes attrs) {
  Node* node = graph.add_node(op, std::move(inputs), {name}, std::move(attrs));
  NARROW_DO(ir::infer_types(*node));
  return node->output();
}

void erase_unread(Graph& graph, Node* node) {
  if (node == nullptr || graph.is_dead(node)) return;
  for (const Value* output : node->outputs())
    if (graph.readers(output) > 0) return;
  const std::vector<Value*> inputs = node->inputs();
  graph.erase(node);
  for (const Value* input : inputs)
    if (input != nullptr) erase_unread(graph, input->producer());
}

void take_place(Graph& graph, Value* old, Value* fresh) {
  if (fresh->type.dtype == DType::undefined) fresh->type = old->type;
  fresh->origin = old->origin;
  fresh->origin_perm = old->origin_perm;
  graph.replace_all_uses(old, fresh);
  Node* producer = old->producer();
  if (producer == nullptr) return;
  const std::string name = old->name;
  erase_unread(graph, producer);
  if (graph.is_dead(producer)) graph.rename(fresh, name);
}

Attributes stored_as(const Value* result, const Value* x, Attributes attrs) {
  if (result->type.dtype != x->type.dtype) attrs["out_dtype"] = std::string(to_string(result->type.dtype));
  return attrs;
}

Node* replace_with(Graph& graph, Value* old, Op op, std::vector<Value*> inputs, Attributes attrs,
                   std::string node_name) {
  if (node_name.empty() && old->producer() != nullptr) node_name = old->producer()->name;
  Node* node = graph.add_node(op, std::move(inputs), {old->name}, std::move(attrs), std::move(node_name));
  take_place(graph, old, node->output());
  return node;
}

}  // namespace narrow::passes
