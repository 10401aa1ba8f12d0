// Which nodes can work on [N,H,W,C] values, and what changes in them when they do.
#pragma once

#include "passes/match.h"

namespace narrow::passes {

/// NHWC axis i is NCHW axis kToLast[i]; and back.
const std::vector<int64_t> kToLast{0, 2, 3, 1}, kToFirst{0, 3, 1, 2};

/// A rank-4 static value: what has a layout.
bool is_image(const Value* value);
/// Ops whose kernels want channels last: they start a region. False once they are.
bool wants_channels_last(const Node* node);
/// Ops that do as well either way: they join a region that reaches them.
bool can_join(const Node* node);
/// Input i is laid out like the node's images (not a weight, a list of axes, a scale).
bool is_laid_out(const Node* node, int i);
/// Rewrites axes, pads, permuted lists and the attribute channels_last of a copy of the node that works on
/// NHWC values.
void remap_node(Graph& graph, Node* node);
/// A constant operand of an NCHW op as its NHWC counterpart reads it: [C,1,1] becomes [C].
Tensor permuted_operand(const Tensor& tensor);
Tensor permuted(const Tensor& tensor, const std::vector<int64_t>& perm);

}  // namespace narrow::passes
