// Concatenation, for Concat and its quantized relative.
#pragma once

#include "ir/ops/support.h"

namespace narrow::ir::ops {

/// The inputs joined along attribute axis; nothing when all are unranked.
Result<std::optional<Dims>> concat_dims(const NodeView& view, const std::vector<int>& inputs);

}  // namespace narrow::ir::ops
