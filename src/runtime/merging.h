// Convolutions that read the same value as one, where that was timed to be faster.
#pragma once

#include <optional>

#include "base/result.h"
#include "ir/graph.h"
#include "runtime/plan.h"

namespace narrow::runtime {

/// The engine's graph with parallel convolutions merged (passes/merge_parallel_convs.cpp); nothing where it
/// has none.
std::optional<ir::Graph> with_merged_convolutions(const ir::Graph& graph);

/// Merges them where the tactics say so for this graph.
void merge_where_faster(ir::Graph& graph, const PlanOptions& options);

}  // namespace narrow::runtime
