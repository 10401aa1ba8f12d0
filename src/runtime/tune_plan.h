// Times what is chosen once for a whole plan: whether large images go through it in bands (bands.h), whether
// weights are fetched a step ahead.
#pragma once

#include <string>

#include "ir/graph.h"
#include "parallel/thread_pool.h"
#include "runtime/plan.h"
#include "runtime/tactics.h"

namespace narrow::runtime {

/// The whole plan with one answer to the question `key` and with the other, in turns; the fastest first, the
/// first given where they are alike. Empty where both are the same plan, or the model refuses the numbers it
/// is timed on.
Tactic time_plans(const ir::Graph& graph, const PlanOptions& options, const std::string& key,
                  const std::string& usual, const std::string& other, ThreadPool& pool);

}  // namespace narrow::runtime
