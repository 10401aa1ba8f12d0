// What kernels are timed on where there are no data.
#pragma once

#include "base/aligned.h"
#include "ir/graph.h"

namespace narrow::runtime {

/// Floats of no consequence: small, neither denormal nor NaN; u8 as behind a ReLU, since there is a kernel
/// that is slower where most are large (conv_int8_bytes_avx2). The same at each call. The type is static.
AlignedBuffer filler(const ir::TensorType& type);

}  // namespace narrow::runtime
