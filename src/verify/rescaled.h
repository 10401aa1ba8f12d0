// Values that are no longer what they were in the original, though the outputs are: methods moved scales
// between channels (equalize, smooth, awq), shifted or rotated them. Their names go with the build's graph.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "base/result.h"
#include "data/dataset.h"
#include "ir/graph.h"
#include "parallel/thread_pool.h"

namespace narrow::verify {

/// Names of the values of `changed` that differ by more than rounding on a few samples from those of the same
/// name in `original`. Both are FP32. Errors: those of the data and of the graphs.
Result<std::set<std::string>> rescaled_values(const ir::Graph& original, const ir::Graph& changed,
                                              const data::Dataset& dataset,
                                              const std::shared_ptr<ThreadPool>& pool);

/// Kept in the graph's metadata, and in files with it.
void note_rescaled(ir::Graph& graph, const std::set<std::string>& names);
std::set<std::string> rescaled_of(const ir::Graph& graph);

}  // namespace narrow::verify
