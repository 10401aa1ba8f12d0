// Times whether large images are better taken through a plan in bands (bands.h).
#pragma once

#include "ir/graph.h"
#include "parallel/thread_pool.h"
#include "runtime/plan.h"
#include "runtime/tactics.h"

namespace narrow::runtime {

/// The whole plan with bands and without, in turns: kInBands and kWholeImages, the fastest first. Empty where
/// there are none, or the model refuses the numbers it is timed on.
Tactic time_bands(const ir::Graph& graph, const PlanOptions& options, ThreadPool& pool);

}  // namespace narrow::runtime
