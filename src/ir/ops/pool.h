// Shapes of pooling, for the pools and their quantized relatives.
#pragma once

#include "ir/ops/support.h"

namespace narrow::ir::ops {

/// Input x under the attributes kernel_shape (needed), strides, dilations, pads, auto_pad, ceil_mode,
/// channels_last.
Result<std::optional<Dims>> pool_dims(const NodeView& view, int x);
/// Input x with spatial axes of length 1; nothing when it is unranked.
Result<std::optional<Dims>> global_pool_dims(const NodeView& view, int x);

}  // namespace narrow::ir::ops
