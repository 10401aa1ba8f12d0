// Runs a plan: pointers resolved, steps in order.
#pragma once

#include <vector>

#include "base/aligned.h"
#include "base/result.h"
#include "parallel/thread_pool.h"
#include "runtime/plan.h"

namespace narrow::runtime {

/// What one request at a time writes to; grows to the largest plan it served.
struct Workspace {
  AlignedBuffer arena, scratch;
};

/// inputs: in the order of the graph's inputs, types and shapes as planned.
Result<TensorMap> execute(const Plan& plan, const std::vector<Tensor>& inputs, Workspace& workspace,
                          ThreadPool& pool, Observer* observer = nullptr);

}  // namespace narrow::runtime
