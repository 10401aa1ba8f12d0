#include "passes/norm_pattern.h"

#include "passes/patterns.h"

namespace narrow::passes {

Node* mean_over_last(const Value* value) {
  Node* mean = producer_of(value, Op::ReduceMean);
  if (mean == nullptr || mean->int_attr("keepdims", 1) != 1 || !mean->input(0)->type.ranked) return nullptr;
  const int64_t rank = mean->input(0)->type.rank();
  const auto axes = axes_input(mean, 1, rank);
  return axes && *axes == std::vector<int64_t>{rank - 1} ? mean : nullptr;
}

namespace {
/// Statistics are taken in FP32 of what a half value holds: the value before that cast.
Value* before_widening(Value* value) {
  const Node* cast = producer_of(value, Op::Cast);
  return cast != nullptr && is_float(cast->input(0)->type.dtype) ? cast->input(0) : value;
}
}  // namespace

Value* square_root_of(const Value* value, NodeSet& inside) {
  const Node* node = value->producer();
  if (node == nullptr) return nullptr;
  const bool squares = (node->op() == Op::Pow && is_scalar(node->input(1), 2.0)) ||
                       (node->op() == Op::Mul && node->input(0) == node->input(1));
  if (!squares) return nullptr;
  inside.insert(node);
  return before_widening(node->input(0));
}

Value* centred_operand(const Value* value, NodeSet& inside) {
  const Node* sub = producer_of(value, Op::Sub);
  const Node* mean = sub != nullptr ? mean_over_last(sub->input(1)) : nullptr;
  if (mean == nullptr || mean->input(0) != sub->input(0)) return nullptr;
  inside.insert({sub, mean});
  return sub->input(0);
}

std::optional<Normalized> match_normalized(const Node* node, NodeSet& inside) {
  Value* numerator = node->input(0);
  const Value* divisor = node->op() == Op::Div ? node->input(1) : nullptr;
  for (int i = 0; node->op() == Op::Mul && i < 2; ++i)
    if (const Node* reciprocal = producer_of(node->input(i), Op::Reciprocal)) {
      inside.insert(reciprocal);
      divisor = reciprocal->input(0);
      numerator = node->input(1 - i);
    }
  const Node* sqrt = divisor != nullptr ? producer_of(divisor, Op::Sqrt) : nullptr;
  const Node* add = sqrt != nullptr ? producer_of(sqrt->input(0), Op::Add) : nullptr;
  if (add == nullptr) return {};
  const int constant = scalar_constant(add->input(0)) ? 0 : 1;
  const auto epsilon = scalar_constant(add->input(constant));
  if (!epsilon) return {};
  inside.insert({node, sqrt, add});
  Value* variance = add->input(1 - constant);
  if (const Node* cast = producer_of(variance, Op::Cast);
      cast != nullptr && is_float(cast->input(0)->type.dtype)) {
    inside.insert(cast);  // taken in FP32, kept in half
    variance = cast->input(0);
  }
  return Normalized{numerator, variance, static_cast<float>(*epsilon)};
}

std::optional<Applied> applied_vector(const Graph& graph, const Value* value, Op op) {
  Node* node = only_reader(graph, value, op);
  if (node == nullptr || !value->type.ranked) return {};
  const int64_t rank = value->type.rank(), columns = known_dim(value, rank - 1);
  if (columns < 0) return {};
  auto vector = per_channel(other_input(node, value), rank, rank - 1, columns);
  return vector ? std::optional(Applied{node, std::move(*vector)}) : std::nullopt;
}

std::vector<Pattern> norm_patterns(const Graph& graph) {
  std::vector<Pattern> found;
  const std::vector<Node*> order = graph.nodes();
  for (const Node* node : order) {
    if (node->op() != Op::Div && node->op() != Op::Mul) continue;
    auto norm = match_layernorm(graph, node);
    if (!norm) norm = match_rmsnorm(graph, node);
    if (!norm) continue;
    Pattern pattern{.nodes = {}, .result = norm->result};
    for (const Node* each : order)
      if (norm->inside.contains(each)) pattern.nodes.push_back(each);
    found.push_back(std::move(pattern));
  }
  return found;
}

}  // namespace narrow::passes
