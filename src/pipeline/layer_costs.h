// What each layer takes in every format that was built, and what casts between layers would take.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "bench/profile.h"
#include "ir/graph.h"
#include "pipeline/cast_costs.h"
#include "search/mix.h"

namespace narrow::pipeline {

/// Milliseconds by layer name. A step that is no layer counts for the layer before it (the first, where none
/// is), what scales rows for an int8-dynamic layer for the layer behind it; conversions between formats count
/// for nobody: a mix has others.
std::map<std::string, double> layer_times(const bench::Profile& profile,
                                          const std::vector<search::MixLayer>& layers);

/// From each layer to those that read what it made, through whatever lies between, with what converting it
/// takes. A value is converted once for all who read it in a format. Where several parts meet between layers,
/// in a sum or a gate, the parts before are converted to the format of the last. What norms and attention
/// read pays nothing for leaving bytes, what they make nothing for becoming such: the steps beside do it in
/// passing. `shapes`: of the inputs.
std::vector<search::MixEdge> cast_edges(const ir::Graph& graph, const std::vector<search::MixLayer>& layers,
                                        const std::map<std::string, Shape>& shapes, const CastRates& rates);

}  // namespace narrow::pipeline
