// Layers that one convolution computes together (passes/merge_parallel_convs.cpp), by their names.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"

namespace narrow::ir {

/// Attribute of the Split behind it: the names of the layers whose results the pieces are.
constexpr const char* kMergedLayers = "merged";

/// Of that Split; empty: it is none.
std::vector<std::string> merged_layers(const Node& split);
/// The Split behind a convolution that computes several layers; null: it computes one.
const Node* split_of_merged(const Node& conv);

}  // namespace narrow::ir
