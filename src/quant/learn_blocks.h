// Rounding learned over a whole model, block after block (docs/methods/learned-rounding.md).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "data/dataset.h"
#include "ir/graph.h"
#include "parallel/thread_pool.h"
#include "quant/block_walk.h"
#include "quant/learned_rounding.h"
#include "quant/recipe.h"

namespace narrow::quant {

struct LearnOptions {
  BlockOptions blocks;
  RoundingOptions rounding;
};

/// One block: mean squared error of what it hands on, on samples it did not learn from.
struct LearnedBlock {
  std::vector<std::string> layers;  // keys
  double before = 0, after = 0;
  int64_t weights = 0, changed = 0;
  std::string refused;  // why nothing was learned: an operator without a rule
};

/// Moves codes of every layer that `recipe` stores in integers to the other one around the weight, where the
/// block answers more like the original by it; every block reads what the quantized model before it gives.
/// `recipe` was made for `graph` and changes only on success. Deterministic for any number of threads.
/// Errors: those of BlockWalk and learn_rounding(), but for operators that have no gradient.
Result<std::vector<LearnedBlock>> learn_blocks(const ir::Graph& graph, Recipe& recipe,
                                               const data::Dataset& dataset,
                                               const std::shared_ptr<ThreadPool>& pool,
                                               const LearnOptions& options, const Progress& progress = {});

}  // namespace narrow::quant
