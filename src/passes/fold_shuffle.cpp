// A permutation of channels behind a convolution becomes an order of its filters:
//   Gather(FusedConv(x, W, b), p; axis = 1)   ->   FusedConv(x, W[p], b[p])
// With groups, W becomes dense first, zeros between the groups, where the engine wants it: on a matrix unit,
// groups of a few dozen channels cost what the dense product costs. FP32 keeps its groups everywhere.
#include <cstring>

#include "passes/list.h"
#include "passes/match.h"

namespace narrow::passes {
namespace {

constexpr int64_t kMostGroups = 8;
constexpr int64_t kMostDense = int64_t{1} << 20;  // weights

bool is_permutation(const std::vector<int64_t>& p) {
  std::vector<bool> seen(p.size());
  for (const int64_t i : p) {
    if (i < 0 || i >= static_cast<int64_t>(p.size()) || seen[static_cast<size_t>(i)]) return false;
    seen[static_cast<size_t>(i)] = true;
  }
  return true;
}

/// Filters (or biases, of one group) in the order of p, over all channels: [oc, c / groups, ...] -> [oc, c,
/// ...].
Tensor dense_in_order(const Tensor& w, int64_t groups, const std::vector<int64_t>& p) {
  Shape shape = w.shape();
  const auto bytes = static_cast<size_t>(w.elements() / w.dim(0) * bytes_of(w.dtype()));
  if (groups > 1) shape.at(1) *= groups;
  Tensor dense = Tensor::zeros(w.dtype(), shape);
  auto* to = static_cast<std::byte*>(dense.mutable_raw());
  const int64_t per_group = w.dim(0) / groups;
  for (size_t i = 0; i < p.size(); ++i) {
    const auto filter = static_cast<size_t>(p[i]), group = static_cast<size_t>(p[i] / per_group);
    std::memcpy(to + (i * static_cast<size_t>(groups) + group) * bytes,
                static_cast<const std::byte*>(w.raw()) + filter * bytes, bytes);
  }
  return dense;
}

template <class T>
std::vector<T> in_order(const std::vector<T>& values, const std::vector<int64_t>& p) {
  if (values.size() != p.size()) return values;
  std::vector<T> ordered;
  for (const int64_t i : p) ordered.push_back(values[static_cast<size_t>(i)]);
  return ordered;
}

bool is_foldable(const Node* conv, const std::vector<int64_t>& p, int64_t dense_group_bytes) {
  const Value *w = conv->input(1), *b = conv->input(2);
  if (!w->is_constant() || w->constant().rank() < 3 || (b != nullptr && !b->is_constant())) return false;
  if (conv->input(3) != nullptr) return false;  // the residual would have to move, too
  const Tensor& weights = w->constant();
  if (p.empty() || weights.dim(0) != static_cast<int64_t>(p.size()) || !is_permutation(p)) return false;
  if (b != nullptr && b->constant().shape() != Shape{weights.dim(0)}) return false;
  const int64_t groups = conv->int_attr("group", 1);
  if (groups == 1) return true;
  return bytes_of(weights.dtype()) <= dense_group_bytes && groups <= kMostGroups &&
         weights.elements() * groups <= kMostDense;
}

bool fold(Graph& graph, Node* gather, const PassContext& context) {
  const auto p = int_constant(gather->input(1));
  Node* conv = ir::producer_if_only_use(graph, gather->input(0), Op::FusedConv);
  if (!p || conv == nullptr || gather->int_attr("axis", 0) != 1 || gather->input(1)->constant().rank() != 1 ||
      !is_foldable(conv, *p, context.dense_group_bytes))
    return false;
  const Value *w = conv->input(1), *b = conv->input(2);
  const std::string name = gather->output()->name;
  Value* weights =
      graph.add_constant(name + "_w", dense_in_order(w->constant(), conv->int_attr("group", 1), *p));
  weights->type.quant = w->type.quant;
  if (w->type.quant && w->type.quant->axis == 0)
    weights->type.quant = std::make_shared<const Quantization>(
        Quantization{in_order(w->type.quant->scale, *p), in_order(w->type.quant->zero_point, *p), 0});
  Value* bias =
      b == nullptr ? nullptr : graph.add_constant(name + "_b", dense_in_order(b->constant(), 1, *p));
  Attributes attrs = conv->attrs;
  attrs.erase("group");
  const auto quant = gather->output()->type.quant;
  Node* fresh = replace_with(graph, gather->output(), Op::FusedConv, {conv->input(0), weights, bias},
                             std::move(attrs), conv->name);
  fresh->output()->type.quant = quant;
  return true;
}

}  // namespace

Result<int64_t> fold_shuffle(Graph& graph, const PassContext& context) {
  int64_t folded = 0;
  for (Node* gather : graph.nodes_of(Op::Gather))
    if (!graph.is_dead(gather) && fold(graph, gather, context)) ++folded;
  return folded;
}

}  // namespace narrow::passes
