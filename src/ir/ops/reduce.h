// What a reduction leaves of a shape.
#pragma once

#include "ir/ops/support.h"

namespace narrow::ir::ops {

/// `dims` with the axes (normalized) reduced: length 1 with keepdims, else gone.
Dims reduced(const Dims& dims, const std::vector<int64_t>& axes, bool keepdims);

}  // namespace narrow::ir::ops
