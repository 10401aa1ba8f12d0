// d = x - mean(x);  d / sqrt(mean(d^2) + eps) * gamma + beta   ->   LayerNormalization(x, gamma, beta), last
// axis
//
// The difference may be computed twice, the square written as Pow or Mul, the division as a product with a
// reciprocal. Without gamma the scale is ones; beta is optional. Left alone when an intermediate value has a
// reader outside.
#include "passes/list.h"
#include "passes/norm_pattern.h"

namespace narrow::passes {

std::optional<Norm> match_layernorm(const Graph& graph, const Node* node) {
  NodeSet inside;
  const auto normalized = match_normalized(node, inside);
  if (!normalized) return {};
  Value* x = centred_operand(normalized->numerator, inside);
  const Node* variance = mean_over_last(normalized->variance);
  if (x == nullptr || variance == nullptr || !is_float(x->type.dtype)) return {};
  inside.insert(variance);
  const Value* difference = square_root_of(variance->input(0), inside);
  if (difference == nullptr ||
      (difference != normalized->numerator && centred_operand(difference, inside) != x))
    return {};
  if (!only_used_inside(graph, inside, node->output())) return {};
  const int64_t columns = known_dim(x, x->type.rank() - 1);
  if (columns < 0) return {};

  Norm norm{.inside = std::move(inside),
            .x = x,
            .result = node->output(),
            .epsilon = normalized->epsilon,
            .gamma = std::vector<float>(static_cast<size_t>(columns), 1.0F),
            .beta = {}};
  if (auto scale = applied_vector(graph, norm.result, Op::Mul)) {
    norm.gamma = std::move(scale->vector);
    norm.result = scale->node->output();
    norm.inside.insert(scale->node);
  }
  if (auto bias = applied_vector(graph, norm.result, Op::Add)) {
    norm.beta = std::move(bias->vector);
    norm.result = bias->node->output();
    norm.inside.insert(bias->node);
  }
  return norm;
}

namespace {

bool rewrite(Graph& graph, Node* node) {
  const auto norm = match_layernorm(graph, node);
  if (!norm) return false;
  const auto columns = static_cast<int64_t>(norm->gamma.size());
  Value* last = norm->result;
  std::vector<Value*> inputs{norm->x, add_floats(graph, last->name + "_scale", Shape{columns}, norm->gamma)};
  if (!norm->beta.empty())
    inputs.push_back(add_floats(graph, last->name + "_bias", Shape{columns}, norm->beta));
  replace_with(graph, last, Op::LayerNormalization, std::move(inputs),
               stored_as(last, norm->x, {{"axis", int64_t{-1}}, {"epsilon", norm->epsilon}}));
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
