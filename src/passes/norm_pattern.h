// Pieces that LayerNormalization and RMSNormalization share when written in primitive ops.
#pragma once

#include <unordered_set>

#include "passes/match.h"

namespace narrow::passes {

using NodeSet = std::unordered_set<const Node*>;

/// The node of `value` when it is a mean over the last axis that keeps it.
Node* mean_over_last(const Value* value);
/// y when value = y * y or y ^ 2, possibly of y widened to FP32; the node goes into `inside`.
Value* square_root_of(const Value* value, NodeSet& inside);

/// x when value = x - mean(x) over the last axis; the nodes go into `inside`.
Value* centred_operand(const Value* value, NodeSet& inside);

/// numerator / sqrt(variance + epsilon), divided or multiplied by the reciprocal; `node` is the Div or Mul.
struct Normalized {
  Value* numerator;
  Value* variance;
  float epsilon;
};
std::optional<Normalized> match_normalized(const Node* node, NodeSet& inside);

/// The Mul (or Add) that applies a constant vector along the last axis to `value`, its only reader; the
/// vector as [K].
struct Applied {
  Node* node;
  std::vector<float> vector;
};
std::optional<Applied> applied_vector(const Graph& graph, const Value* value, Op op);

/// A whole normalisation in primitive ops.
struct Norm {
  NodeSet inside;  // all nodes of it
  Value *x, *result;
  float epsilon;
  std::vector<float> gamma, beta;  // [K]; beta: empty where there is none
};
/// `node`: the Div or Mul that divides by the deviation.
std::optional<Norm> match_layernorm(const Graph& graph, const Node* node);
std::optional<Norm> match_rmsnorm(const Graph& graph, const Node* node);

}  // namespace narrow::passes
