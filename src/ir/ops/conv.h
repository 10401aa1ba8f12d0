// Shapes of convolutions, for Conv and its integer and fused relatives.
#pragma once

#include "ir/ops/support.h"

namespace narrow::ir::ops {

/// Y's dims for X (input x) [N,C,space...] and W (input w) [O,C/group,kernel...]; X and Y are [N,H,W,C] with
/// channels_last = 1. Unknown dims when neither has a rank: nothing.
Result<std::optional<Dims>> conv_dims(const NodeView& view, int x, int w);
/// Input `b`, when present, is [channels].
Status check_vector(const NodeView& view, int b, const Dim& channels);

}  // namespace narrow::ir::ops
