// Sequential MSE over a whole model: every layer's scales by the error of its result, layer after layer, each
// given what the quantized model before it really produces (docs/methods/sequential-mse.md).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "data/dataset.h"
#include "ir/graph.h"
#include "parallel/thread_pool.h"
#include "quant/layer_walk.h"
#include "quant/recipe.h"
#include "quant/scale_search.h"

namespace narrow::quant {

struct SequentialScaleOptions {
  WalkOptions walk;
  ScaleSearchOptions search;
};

struct RescaledLayer {
  std::string key;
  ReconstructionLoss loss;
  int64_t changed = 0;  // result channels whose scales are not what they were
  std::string refused;  // why nothing was searched
};

/// Scales of every layer that `recipe` stores in integers, and the codes nearest to the weights in them.
/// `recipe` was made for `graph` and changes only on success. Deterministic for any number of threads.
/// Errors: those of LayerWalk and search_scales().
Result<std::vector<RescaledLayer>> search_scales_sequentially(const ir::Graph& graph, Recipe& recipe,
                                                              const data::Dataset& dataset,
                                                              const std::shared_ptr<ThreadPool>& pool,
                                                              const SequentialScaleOptions& options = {},
                                                              const Progress& progress = {});

}  // namespace narrow::quant
