// Times the kernels that can run each step of a graph.
#pragma once

#include "base/progress.h"
#include "ir/graph.h"
#include "parallel/thread_pool.h"
#include "runtime/plan.h"
#include "runtime/tactic_cache.h"
#include "runtime/tactics.h"

namespace narrow::runtime {

/// `graph`: what the engine passes left, all types static. Every step that more than one kernel could run is
/// timed with each (or found in the cache) as it runs in a model at small batches: weights no longer in L2,
/// the input still there. Where results are not the same bits (floats), another kernel than the first of the
/// table has to win by a tenth. Where large images would go through the plan in bands, it is timed whole with
/// and without them; where convolutions can be merged (merging.h), both graphs.
Tactics tune(const ir::Graph& graph, const PlanOptions& options, ThreadPool& pool, TacticCache& cache);

}  // namespace narrow::runtime
