// A name for what a recipe does to a graph: two recipes with the same digest give the same build.
#pragma once

#include <string>

#include "quant/recipe.h"

namespace narrow::quant {

/// Hash of formats, scales, codes and biases; reasons and notes do not enter.
std::string digest(const Recipe& recipe);

}  // namespace narrow::quant
