// Weights must be numbers.
#pragma once

#include "base/result.h"
#include "ir/graph.h"

namespace narrow::onnx {

/// NaN in a float constant of more than one element is an error; so is Inf, unless the constant is a mask:
/// its other values are all zero, or only Where and Add read it. Error: invalid_model naming the constant and
/// the index.
Status check_finite(const ir::Graph& graph);

/// Error invalid_model naming the node when a constant scale of QuantizeLinear or DequantizeLinear is not a
/// positive finite number.
Status check_scales(const ir::Graph& graph);

}  // namespace narrow::onnx
