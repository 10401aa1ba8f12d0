// The plain backend: every op as the ONNX specification says it, in straight loops over row-major tensors.
// It folds constants, stands in where no kernel does, and is what kernels and fused graphs are tested
// against.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"

namespace narrow::runtime::reference {

/// One node. inputs[i] is null for an absent optional input; dtypes and shapes follow the op's schema.
/// Quantized types (value.type.quant) are honoured by dequantizing, computing in float and quantizing the
/// result with round-half-even; FusedConv and FusedMatMul on integers accumulate in int32 exactly and
/// requantize as kernels/requantize.h says. Errors: unsupported (the op has no reference), invalid_data
/// naming the node.
Result<std::vector<Tensor>> evaluate(const ir::Node& node, std::span<const Tensor* const> inputs);

/// A whole graph, node by node; inputs and outputs by name.
Result<TensorMap> run(const ir::Graph& graph, const TensorMap& inputs);

bool supports(ir::Op op);

}  // namespace narrow::runtime::reference
