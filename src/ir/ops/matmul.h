// Shapes of matrix products, for MatMul, Gemm and their integer and fused relatives.
#pragma once

#include "ir/ops/support.h"

namespace narrow::ir::ops {

/// numpy.matmul on inputs a and b: stacks broadcast, 1-D operands lose their axis again. `transpose_b`: the
/// last two axes of b are [N,K]. Unranked operands: nothing.
Result<std::optional<Dims>> matmul_dims(const NodeView& view, int a, int b, bool transpose_b = false);
/// [M,N] of the 2-D inputs a and b under the attributes transA and transB.
Result<Dims> gemm_dims(const NodeView& view, int a, int b);

}  // namespace narrow::ir::ops
