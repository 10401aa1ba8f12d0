// Which kernel a node gets, and why not the others.
#pragma once

#include <memory>

#include "base/result.h"
#include "runtime/kernel.h"
#include "runtime/plan.h"
#include "runtime/session.h"

namespace narrow::runtime {

/// The node as explained: its formats and outputs, no kernel yet.
StepChoice choice_of(const ir::Node& node, Isa isa);

/// The kernel a node gets by tactics or the order of the table; null: none.
const Implementation* preferred(const NodeCase& c, const PlanOptions& options);

/// The same, made, with its name and the reasons against others in `choice`. Errors: unsupported, naming the
/// node, its types and why each candidate refused.
Result<std::unique_ptr<Kernel>> choose(const NodeCase& c, const PlanOptions& options, StepChoice& choice);

/// What was timed of choices made once for the whole graph.
std::vector<Tactic> choices_for_plan(const PlanKeys& keys, const PlanOptions& options);

/// Where it was timed: whether the graph's images go through it faster in bands. True where it was not.
bool takes_bands(const PlanKeys& keys, const PlanOptions& options);

/// Where it was timed: whether weights are better fetched while the step before computes. False where it was
/// not.
bool fetches_ahead(const PlanKeys& keys, const PlanOptions& options);

/// Where it was timed: whether parallel convolutions are faster merged. False where it was not.
bool takes_merging(const PlanKeys& keys, const PlanOptions& options);

/// Whether the kernel that a convolution, Concat, Split or Slice gets anyway serves with the pitches of the
/// case: another one would cost more than the copies it saves.
bool reads_and_writes_pitched(const NodeCase& c, const PlanOptions& options);

}  // namespace narrow::runtime
