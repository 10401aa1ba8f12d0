// A model that came quantized: its own formats, in the words of a recipe.
#pragma once

#include "ir/graph.h"
#include "quant/recipe.h"

namespace narrow::quant {

/// What a Q/DQ graph says: heavy nodes whose data and weights are dequantized 8-bit integers are int8, other
/// heavy nodes stay FP32, with the reason; every stored value's scale and zero point. Nothing to apply: the
/// graph is that already.
Recipe given_recipe(const ir::Graph& graph);

}  // namespace narrow::quant
