// What a convolution or product can do to its result before storing it: add a residual, apply an activation.
#pragma once

#include "passes/match.h"

namespace narrow::passes {

/// Attributes activation, alpha, beta of the fused ops for an activation node on its first input; nothing
/// when the node is none or has parameters that are not constant.
std::optional<Attributes> activation_attributes(const Node* node);

struct Tail {
  Value* result;              // the value that the fused node makes
  Value* residual = nullptr;  // same shape as the result
  Attributes activation;      // empty: none
};
/// Follows only readers from `value`: a Cast from a half format to FP32, an Add of another float value of the
/// same shape, then an activation. `fused_later` says of another layer that it will take the Add itself: the
/// later of two convolutions does.
Tail follow_tail(const Graph& graph, Value* value,
                 bool (*fused_later)(const Graph& graph, const Node* layer));

/// A constant, or DequantizeLinear or Cast of one, or that with weights apart: weights that a fused op may
/// read.
bool is_constant_weight(const Value* value);
/// `bias` as the fused ops want it: half constants widened to f32; anything else as it is.
Value* widened_bias(Graph& graph, Value* bias);

}  // namespace narrow::passes
