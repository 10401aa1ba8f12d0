// x / sqrt(mean(x^2) + eps) * gamma   ->   RMSNormalization(x, gamma), last axis
//
// Without gamma the formula stays as it is. Left alone when an intermediate value has a reader outside.
#include "passes/list.h"
#include "passes/norm_pattern.h"

namespace narrow::passes {

std::optional<Norm> match_rmsnorm(const Graph& graph, const Node* node) {
  NodeSet inside;
  const auto normalized = match_normalized(node, inside);
  if (!normalized) return {};
  Value* x = normalized->numerator;
  const Node* mean = mean_over_last(normalized->variance);
  if (mean == nullptr || !is_float(x->type.dtype)) return {};
  inside.insert(mean);
  if (square_root_of(mean->input(0), inside) != x || !only_used_inside(graph, inside, node->output()))
    return {};
  auto gamma = applied_vector(graph, node->output(), Op::Mul);
  if (!gamma) return {};
  inside.insert(gamma->node);
  return Norm{.inside = std::move(inside),
              .x = x,
              .result = gamma->node->output(),
              .epsilon = normalized->epsilon,
              .gamma = std::move(gamma->vector),
              .beta = {}};
}

namespace {

bool rewrite(Graph& graph, Node* node) {
  const auto norm = match_rmsnorm(graph, node);
  if (!norm) return false;
  Value* old = norm->result;
  Value* scale =
      add_floats(graph, old->name + "_scale", Shape{static_cast<int64_t>(norm->gamma.size())}, norm->gamma);
  replace_with(graph, old, Op::RMSNormalization, {norm->x, scale},
               stored_as(old, norm->x, {{"axis", int64_t{-1}}, {"epsilon", norm->epsilon}}));
  return true;
}

}  // namespace

Result<int64_t> recognise_rmsnorm(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t found = 0;
  for (Node* node : graph.nodes())
    if (!graph.is_dead(node) && (node->op() == Op::Div || node->op() == Op::Mul) && rewrite(graph, node))
      ++found;
  return found;
}

}  // namespace narrow::passes
