// What each layer takes in every format that was built, and what casts between layers would take.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "bench/profile.h"
#include "ir/graph.h"
#include "search/mix.h"

namespace narrow::pipeline {

/// Milliseconds by layer name. A step that is no layer counts for the layer before it (the first, where none
/// is); conversions between formats count for nobody: a mix has others.
std::map<std::string, double> layer_times(const bench::Profile& profile,
                                          const std::vector<search::MixLayer>& layers);

/// From each layer to those that read what it made, through whatever lies between. `shapes`: of the inputs.
/// A conversion reads and writes five bytes a number, at `gb_s`, and starts in two microseconds.
std::vector<search::MixEdge> cast_edges(const ir::Graph& graph, const std::vector<search::MixLayer>& layers,
                                        const std::map<std::string, Shape>& shapes, double gb_s);

}  // namespace narrow::pipeline
