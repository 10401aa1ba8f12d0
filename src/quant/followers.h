// What lies between layers in a half format.
#pragma once

#include "calib/profile.h"
#include "ir/graph.h"
#include "quant/plan_formats.h"
#include "quant/recipe.h"

namespace narrow::quant {

/// Gives nodes between layers that `recipe` has in fp16 or bf16 the same format F, as a build in F does
/// (half_region()): the Add of a constant bias behind a product in F; what splits and joins the heads of an
/// attention in F, which the engine computes with it; and every node all of whose float
/// inputs come from nodes in F, or are constant, and all of whose results are read in F. So no value is cast
/// between layers in F. The largest such set is taken; nodes that have a format or are in `wide` keep theirs,
/// a norm in primitive ops follows as a whole or not at all, and nothing becomes fp16 that overflows there.
void add_followers(const ir::Graph& graph, const calib::Profile& profile, const Wide& wide, Recipe& recipe);

}  // namespace narrow::quant
