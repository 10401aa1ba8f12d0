// A layer of a recipe as what learns from samples takes it, and back.
#pragma once

#include "ir/graph.h"
#include "quant/learned_rounding.h"
#include "quant/recipe.h"

namespace narrow::quant {

/// The codes and scales that `recipe` stores for a heavy node now. Precondition: it stores some.
LayerStart start_of(const ir::Node& node, const Recipe& recipe);
/// Stores other ones, made from those.
void store(const LayerStart& layer, Recipe& recipe);

}  // namespace narrow::quant
