// What the recipe and the calibration profile say that a reader must know.
#pragma once

#include <string>
#include <vector>

#include "calib/profile.h"
#include "ir/graph.h"
#include "quant/recipe.h"

namespace narrow::pipeline {

/// Concats whose inputs differ so much in range that one integer scale leaves the smallest fewer than 16
/// levels. Those the recipe keeps in FP32 are named too: they show why.
std::vector<std::string> mixed_ranges(const ir::Graph& graph, const quant::Recipe& recipe,
                                      const calib::Profile& profile);

}  // namespace narrow::pipeline
