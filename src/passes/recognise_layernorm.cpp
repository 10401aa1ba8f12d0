// d = x - mean(x);  d / sqrt(mean(d^2) + eps) * gamma + beta   ->   LayerNormalization(x, gamma, beta), last
// axis
//
// The difference may be computed twice, the square written as Pow or Mul, the division as a product with a
// reciprocal. Without gamma the scale is ones; beta is optional. Left alone when an intermediate value has a
// reader outside.
#include "passes/list.h"
#include "passes/norm_pattern.h"

namespace narrow::passes {
namespace {

bool rewrite(Graph& graph, Node* node) {
  NodeSet inside;
  const auto normalized = match_normalized(node, inside);
  if (!normalized) return false;
  Value* x = centred_operand(normalized->numerator, inside);
  const Node* variance = mean_over_last(normalized->variance);
  if (x == nullptr || variance == nullptr || !is_float(x->type.dtype)) return false;
  inside.insert(variance);
  const Value* difference = square_root_of(variance->input(0), inside);
  if (difference == nullptr ||
      (difference != normalized->numerator && centred_operand(difference, inside) != x))
    return false;
  if (!only_used_inside(graph, inside, node->output())) return false;
  const int64_t columns = known_dim(x, x->type.rank() - 1);
  if (columns < 0) return false;

  Value* last = node->output();
  std::vector<float> gamma(static_cast<size_t>(columns), 1.0F);
  std::optional<Applied> beta;
  if (auto scale = applied_vector(graph, last, Op::Mul)) {
    gamma = std::move(scale->vector);
    last = scale->node->output();
  }
  if ((beta = applied_vector(graph, last, Op::Add))) last = beta->node->output();
  std::vector<Value*> inputs{x, add_floats(graph, last->name + "_scale", Shape{columns}, gamma)};
  if (beta) inputs.push_back(add_floats(graph, last->name + "_bias", Shape{columns}, beta->vector));
  replace_with(graph, last, Op::LayerNormalization, std::move(inputs),
               stored_as(last, x, {{"axis", int64_t{-1}}, {"epsilon", normalized->epsilon}}));
  return true;
}

}  // namespace

Result<int64_t> recognise_layernorm(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t found = 0;
  for (Node* node : graph.nodes())
    if (!graph.is_dead(node) && (node->op() == Op::Div || node->op() == Op::Mul) && rewrite(graph, node))
      ++found;
  return found;
}

}  // namespace narrow::passes
