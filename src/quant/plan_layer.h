// One layer's entry in a recipe, in a format that does not depend on its neighbours.
#pragma once

#include <unordered_set>

#include "calib/profile.h"
#include "ir/graph.h"
#include "quant/groups.h"
#include "quant/plan_formats.h"
#include "quant/recipe.h"

namespace narrow::quant {

/// int8-dynamic: scales of the weights, the bias correction where there is a profile. A node that cannot have
/// it (no heavy node, grouped, a computed bias) gets fp32 with the reason, and nothing is stored for it.
NodeChoice plan_dynamic_layer(const ir::Node& node, const calib::Profile* profile, Recipe& recipe);

/// int8-weights, int4, int3, int2, ternary, binary (by `options`): the weights in groups, or per channel in
/// int8 where their contraction is shorter than a group. What TensorRT does not take gets fp32 with the
/// reason.
NodeChoice plan_grouped_layer(const ir::Node& node, const calib::Profile* profile,
                              const GroupOptions& options, Target target, Recipe& recipe);

/// A layer with a format of its own: `layer.format`, else `standard`. `half`: what can compute in bf16 and
/// fp16 (half_region()).
NodeChoice plan_wide_layer(const ir::Node& node, const WideLayer& layer, NodeFormat standard,
                           const std::unordered_set<const ir::Node*>& half, const calib::Profile* profile,
                           const LayerOptions& options, Recipe& recipe);

/// The same for all of `wide`.
void plan_wide_layers(const ir::Graph& graph, const calib::Profile* profile, const Wide& wide,
                      const LayerOptions& options, Recipe& recipe);

/// The bias correction of a heavy node that computes in bf16 or fp16; nothing for other formats and nodes.
void correct_half_bias(const ir::Node& node, const calib::Profile& profile, NodeFormat format,
                       Recipe& recipe);

}  // namespace narrow::quant
