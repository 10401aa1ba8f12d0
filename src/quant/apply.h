// A recipe applied: the portable low-precision graph, in standard ONNX terms.
#pragma once

#include "base/result.h"
#include "ir/graph.h"
#include "quant/recipe.h"

namespace narrow::quant {

/// int8 nodes read their data through QuantizeLinear -> DequantizeLinear and their weights (s8) and biases
/// (s32) through DequantizeLinear; bf16 and fp16 nodes compute in their type, with Cast at the borders,
/// weights stored in it, biases and normalisation parameters in FP32. The result is what the engine runs and
/// what is exported.
Result<ir::Graph> apply(const ir::Graph& graph, const Recipe& recipe);

}  // namespace narrow::quant
