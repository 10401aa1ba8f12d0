#include "quant/norm_sites.h"

#include <optional>

#include "passes/norm_pattern.h"

namespace narrow::quant {
namespace {

using ir::Graph;
using ir::Node;
using ir::Op;
using ir::Value;

bool is_f32(const Value* value) {
  return value != nullptr && value->type.dtype == DType::f32 && !value->type.quant && value->type.ranked;
}

/// A constant vector along the last axis of `value`.
bool is_vector_of(const Value* constant, const Value* value) {
  const int64_t rank = value->type.rank(), columns = rank > 0 ? passes::known_dim(value, rank - 1) : -1;
  return constant != nullptr && constant->is_constant() && is_f32(constant) && columns > 0 &&
         passes::per_channel(constant, rank, rank - 1, columns).has_value();
}

std::optional<NormSite> as_operator(Node* node) {
  const bool centred = node->op() == Op::LayerNormalization;
  if (!centred && node->op() != Op::RMSNormalization) return std::nullopt;
  Value *x = node->input(0), *result = node->output();
  if (node->outputs().size() != 1 || !is_f32(x) || !is_f32(result) || x->type.rank() < 1) return std::nullopt;
  if (passes::normalized_axis(node->int_attr("axis", -1), x->type.rank()) != x->type.rank() - 1)
    return std::nullopt;
  for (int i = 1; i < 3; ++i)
    if (node->input(i) != nullptr && !is_vector_of(node->input(i), x)) return std::nullopt;
  NormSite site{x, result, centred, {}, {}, {node}};
  if (node->input(1) != nullptr) site.gamma = {node, 1};
  if (node->input(2) != nullptr) site.beta = {node, 2};
  return site;
}

/// The Mul or Add of a constant vector that alone reads the result becomes part of the site.
NormConstant take_applied(const Graph& graph, NormSite& site, Op op) {
  Node* node = passes::only_reader(graph, site.result, op);
  if (node == nullptr || node->inputs().size() != 2 || node->input(0) == node->input(1)) return {};
  const int input = node->input(0) == site.result ? 1 : 0;
  if (!is_vector_of(node->input(input), site.result) || !is_f32(node->output()) ||
      node->output()->type.rank() != site.result->type.rank())
    return {};
  site.result = node->output();
  site.inside.insert(node);
  return {node, input};
}

std::optional<NormSite> as_primitives(const Graph& graph, const Node* node) {
  if (node->op() != Op::Div && node->op() != Op::Mul) return std::nullopt;
  passes::NodeSet inside;
  const auto normalized = passes::match_normalized(node, inside);
  if (!normalized) return std::nullopt;
  const Node* mean = passes::mean_over_last(normalized->variance);
  if (mean == nullptr) return std::nullopt;
  inside.insert(mean);
  const Value* squared = passes::square_root_of(mean->input(0), inside);
  Value* x = passes::centred_operand(normalized->numerator, inside);
  const bool centred = x != nullptr;
  if (!centred) x = normalized->numerator;
  const bool same = squared == normalized->numerator ||
                    (centred && squared != nullptr && passes::centred_operand(squared, inside) == x);
  if (!same || !is_f32(x) || !is_f32(node->output()) ||
      !passes::only_used_inside(graph, inside, node->output()))
    return std::nullopt;
  for (const Node* part : inside)
    if (!is_f32(part->output())) return std::nullopt;  // half in between
  NormSite site{x, node->output(), centred, {}, {}, inside};
  site.gamma = take_applied(graph, site, Op::Mul);
  site.beta = take_applied(graph, site, Op::Add);
  return site;
}

}  // namespace

std::vector<NormSite> find_norms(const Graph& graph) {
  std::vector<NormSite> sites;
  for (Node* node : graph.nodes()) {
    auto site = as_operator(node);
    if (!site) site = as_primitives(graph, node);
    if (site) sites.push_back(std::move(*site));
  }
  return sites;
}

}  // namespace narrow::quant
