// Times what is chosen once for a whole plan: whether large images go through it in bands (bands.h), whether
// weights are fetched a step ahead, whether parallel convolutions are one (merging.h).
#pragma once

#include <array>
#include <string>

#include "ir/graph.h"
#include "parallel/thread_pool.h"
#include "runtime/plan.h"
#include "runtime/tactics.h"

namespace narrow::runtime {

struct PlanAnswer {
  std::string name;
  const ir::Graph& graph;
  Tactics tactics;  // with the answer among them, where it is one that plans look up
};

/// The whole plan with one answer and with the other, in turns; the fastest first, the first given where they
/// are alike. Empty where both are the same plan, or the model refuses the numbers it is timed on.
Tactic time_plans(const std::array<PlanAnswer, 2>& answers, const PlanOptions& options, ThreadPool& pool);

}  // namespace narrow::runtime
