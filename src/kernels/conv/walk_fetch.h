// Weights of the next kernel, fetched into L2 beside a walk's products.
#pragma once

#include "kernels/conv/walk.h"
#include "kernels/weight_stream.h"

namespace narrow::kernels {

/// What task `task` of `tasks`, dealt to `threads` as ThreadPool deals them, fetches of `next` in some
/// `tiles` of work: the tasks of a thread together what that thread will read.
ConvFetch conv_fetch(const WeightStream& next, int64_t task, int64_t tasks, int threads, int64_t tiles);

}  // namespace narrow::kernels
