// What a layer's constants take in a file, by its format.
#pragma once

#include <cstdint>

#include "ir/graph.h"
#include "quant/recipe.h"

namespace narrow::quant {

/// Bytes of weights, bias, scales and zero points of a heavy node as quant::apply() stores them.
/// Precondition: is_heavy(node).
int64_t layer_bytes(const ir::Node& node, const Recipe& recipe);

}  // namespace narrow::quant
