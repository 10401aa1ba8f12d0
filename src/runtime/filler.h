// What kernels are timed on where there are no data.
#pragma once

#include "base/aligned.h"
#include "ir/graph.h"

namespace narrow::runtime {

/// Numbers of no consequence: small, neither denormal nor NaN; the same at each call. The type is static.
AlignedBuffer filler(const ir::TensorType& type);

}  // namespace narrow::runtime
