// Convolutions that read one value through one window are one convolution with the outputs of all:
//   FusedConv(x, W1, b1), FusedConv(x, W2, b2)   ->   Split(FusedConv(x, [W1 W2], [b1 b2]))
// Every output has the sum, the factor and the bounds it had, so that no bit changes: pieces of integers keep
// their scales, those of the merged value are its channels' then. Merged are only convolutions over images
// that lie channels last whose readers are convolutions: these find a piece between the channels of others
// (runtime/storage.h), while a Concat would have its input made in place, and others have it copied. Of
// floats only 1x1: the kernels of wider windows sum in different orders. In none of the lists: whether it is
// faster is timed (runtime/merging.h).
#include <algorithm>
#include <cstring>

#include "ir/merged.h"
#include "passes/list.h"
#include "passes/match.h"

namespace narrow::passes {
namespace {

bool same(const ir::Attribute& a, const ir::Attribute& b) {
  if (a.index() != b.index()) return false;
  if (const auto* i = std::get_if<int64_t>(&a)) return *i == std::get<int64_t>(b);
  if (const auto* f = std::get_if<float>(&a)) return *f == std::get<float>(b);
  if (const auto* s = std::get_if<std::string>(&a)) return *s == std::get<std::string>(b);
  if (const auto* list = std::get_if<std::vector<int64_t>>(&a))
    return *list == std::get<std::vector<int64_t>>(b);
  return false;
}

bool same_attributes(const Attributes& a, const Attributes& b) {
  if (a.size() != b.size()) return false;
  for (auto i = a.begin(), k = b.begin(); i != a.end(); ++i, ++k)
    if (i->first != k->first || !same(i->second, k->second)) return false;
  return true;
}

bool is_constant(const Value* value) { return value != nullptr && value->is_constant(); }

/// Convolutions find what they read between the channels of others.
bool is_found_apart(const Graph& graph, const Value* value) {
  if (graph.is_graph_output(value) || value->uses().empty()) return false;
  for (const ir::Use& use : value->uses())
    if (use.node->op() != Op::FusedConv || use.index != 0) return false;
  return true;
}

bool is_mergeable(const Graph& graph, const Node* conv) {
  const Value *x = conv->input(0), *w = conv->input(1), *b = conv->input(2), *y = conv->output();
  if (conv->int_attr("channels_last", 0) != 1 || conv->int_attr("group", 1) != 1) return false;
  if (!is_constant(w) || (b != nullptr && !is_constant(b)) || conv->input(3) != nullptr) return false;
  if (!y->type.is_static() || y->type.rank() != 4 || x->is_constant()) return false;
  const Shape& shape = w->constant().shape();
  if (shape.size() != 4 || (b != nullptr && b->constant().shape() != Shape{shape[0]})) return false;
  if (is_float(x->type.dtype) && shape[2] * shape[3] != 1) return false;
  if (is_int8(y->type.dtype) && (y->type.quant == nullptr || !y->type.quant->per_tensor())) return false;
  return is_found_apart(graph, y);
}

/// Whether codes of two scales can leave one convolution: bounds in real numbers would be other codes.
bool may_differ_in_scale(const Node* conv) {
  const std::string activation = conv->string_attr("activation", "none");
  return is_int8(conv->input(0)->type.dtype) && (activation == "none" || activation == "relu");
}

bool goes_with(const Node* a, const Node* b) {
  const Value *v = a->input(1), *w = b->input(1), *c = a->input(2), *d = b->input(2);
  const ir::TensorType &y = a->output()->type, &z = b->output()->type;
  Shape wide = v->constant().shape(), other = w->constant().shape();
  wide[0] = other[0] = 0;
  if (v->type.dtype != w->type.dtype || wide != other ||
      (v->type.quant == nullptr) != (w->type.quant == nullptr))
    return false;
  if ((c == nullptr) != (d == nullptr) || (c != nullptr && c->type.dtype != d->type.dtype)) return false;
  if (y.dtype != z.dtype || !same_attributes(a->attrs, b->attrs)) return false;
  if (y.quant == nullptr || z.quant == nullptr) return y.quant == z.quant;
  return y.quant->zero_point == z.quant->zero_point &&
         (y.quant->scale == z.quant->scale || may_differ_in_scale(a));
}

/// Quantizations of pieces along `axis`, one after the other; one scale where all have it.
std::shared_ptr<const Quantization> joined(const std::vector<const Value*>& pieces, int64_t axis) {
  const Quantization* first = pieces[0]->type.quant.get();
  if (first == nullptr) return nullptr;
  Quantization all{{}, {}, axis};
  bool alike = true;
  for (const Value* piece : pieces) {
    const Quantization& own = *piece->type.quant;
    alike = alike && own.per_tensor() && own == *first;
    const auto count = static_cast<size_t>(piece->type.dims[static_cast<size_t>(axis)].value);
    for (size_t i = 0; i < count; ++i) {
      all.scale.push_back(own.scale[own.per_tensor() ? 0 : i]);
      all.zero_point.push_back(own.zero_point[own.per_tensor() ? 0 : i]);
    }
  }
  return alike ? pieces[0]->type.quant : std::make_shared<const Quantization>(std::move(all));
}

/// Constants one after the other along their first axis.
Value* joined_constant(Graph& graph, const std::vector<const Value*>& pieces, const std::string& name) {
  Shape shape = pieces[0]->constant().shape();
  shape[0] = 0;
  for (const Value* piece : pieces) shape[0] += piece->constant().dim(0);
  Tensor all = Tensor::allocate(pieces[0]->constant().dtype(), shape);
  auto* to = static_cast<std::byte*>(all.mutable_raw());
  for (const Value* piece : pieces) {
    const Tensor& tensor = piece->constant();
    std::memcpy(to, tensor.raw(), static_cast<size_t>(tensor.bytes()));
    to += tensor.bytes();
  }
  return graph.add_constant(name, std::move(all));
}

const std::string& name_of(const Node* node) {
  return node->name.empty() ? node->output()->name : node->name;
}

void merge(Graph& graph, const std::vector<Node*>& set) {
  std::string name, value_name;
  std::vector<std::string> names, outputs;
  std::vector<const Value*> weights, biases, results;
  std::vector<int64_t> sizes;
  for (const Node* conv : set) {
    names.push_back(name_of(conv));
    outputs.push_back(conv->output()->name);
    name += (name.empty() ? "" : "+") + names.back();
    value_name += (value_name.empty() ? "" : "+") + outputs.back();
    weights.push_back(conv->input(1)), biases.push_back(conv->input(2)), results.push_back(conv->output());
    sizes.push_back(conv->output()->type.dims[3].value);
  }
  Value* w = joined_constant(graph, weights, value_name + "_w");
  w->type.quant = joined(weights, 0);
  Value* b = biases[0] != nullptr ? joined_constant(graph, biases, value_name + "_b") : nullptr;
  Node* conv = graph.add_node(Op::FusedConv, {set[0]->input(0), w, b}, {value_name}, set[0]->attrs, name);
  ir::TensorType& type = conv->output()->type;
  type = results[0]->type;
  type.dims[3] = w->constant().dim(0);
  type.quant = joined(results, 3);
  Node* split = graph.add_node(Op::Split, {conv->output(), add_ints(graph, value_name + "_sizes", sizes)},
                               outputs, {{"axis", int64_t{3}}, {ir::kMergedLayers, names}});
  for (size_t i = 0; i < set.size(); ++i) take_place(graph, set[i]->output(), split->outputs()[i]);
}

}  // namespace

Result<int64_t> merge_parallel_convs(Graph& graph, const PassContext& context) {
  (void)context;
  std::vector<std::vector<Node*>> sets;
  for (Node* conv : graph.nodes_of(Op::FusedConv)) {
    if (!is_mergeable(graph, conv)) continue;
    const auto fits = [&](const std::vector<Node*>& set) {
      return set[0]->input(0) == conv->input(0) && goes_with(set[0], conv);
    };
    const auto set = std::find_if(sets.begin(), sets.end(), fits);
    if (set != sets.end())
      set->push_back(conv);
    else
      sets.push_back({conv});
  }
  int64_t merged = 0;
  for (const std::vector<Node*>& set : sets) {
    if (set.size() < 2) continue;
    merge(graph, set);
    ++merged;
  }
  return merged;
}

}  // namespace narrow::passes
