// Runs a plan: pointers resolved, steps in order.
#pragma once

#include <span>
#include <vector>

#include "base/aligned.h"
#include "base/result.h"
#include "parallel/thread_pool.h"
#include "runtime/plan.h"

namespace narrow::runtime {

/// What one request at a time writes to; grows to the largest plan it served.
struct Workspace {
  AlignedBuffer arena, scratch;
  std::vector<const void*> sources;  // of the step that runs
  std::vector<void*> targets;
};

/// inputs: in the order of the graph's inputs, types and shapes as planned.
Result<TensorMap> execute(const Plan& plan, const std::vector<Tensor>& inputs, Workspace& workspace,
                          ThreadPool& pool, Observer* observer = nullptr);
/// The same into tensors in the order of the graph's outputs, writable, types and shapes as planned.
/// Allocates nothing once the workspace has served the plan, apart from what kernels allocate.
Status execute_into(const Plan& plan, std::span<const Tensor> inputs, std::span<Tensor> outputs,
                    Workspace& workspace, ThreadPool& pool, Observer* observer = nullptr);

}  // namespace narrow::runtime
