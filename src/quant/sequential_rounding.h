// GPTQ over a whole model: every layer's weights are rounded by the error of its result, layer after layer,
// each given what the layers before it really produce (docs/methods/gptq.md).
#pragma once

#include <memory>
#include <set>

#include "base/progress.h"
#include "base/result.h"
#include "data/dataset.h"
#include "ir/graph.h"
#include "parallel/thread_pool.h"
#include "quant/layer_walk.h"
#include "quant/recipe.h"

namespace narrow::quant {

struct SequentialOptions {
  WalkOptions walk;
  double damping = 0.03;
  bool act_order = false;  // rounded in the order of the data, too; of both what errs less
  bool residual = true;    // the target of a layer holds what the residual it is added to has lost
  bool variance = false;   // scales of int8 results are fitted to the original's, channel by channel
  /// What layers should answer like, with other constants than the graph (pruned weights); null: the graph.
  const ir::Graph* original = nullptr;
};

/// The error of one layer's result on the calibration data, mean square over its rows and summed over
/// channels.
struct RoundedLayer {
  std::string key;
  double nearest = 0, chosen = 0;
  bool by_error = true;  // false: the nearest codes, since too little is known (worth_products)
};

/// Chooses codes for every layer that `recipe` stores in integers, scales too where they belong to groups,
/// and biases that take back the mean of what is left. `recipe` was made for `graph` and changes only on
/// success. Deterministic for any number of threads. Errors: those of LayerWalk.
Result<std::vector<RoundedLayer>> round_sequentially(const ir::Graph& graph, Recipe& recipe,
                                                     const data::Dataset& dataset,
                                                     std::shared_ptr<ThreadPool> pool,
                                                     const SequentialOptions& options = {},
                                                     const Progress& progress = {});

/// `to` stores the layers it has in common with `from` (in the same integer format, not one of `except`) with
/// the scales, codes and biases found there.
void take_rounding(const Recipe& from, Recipe& to, const std::set<NodeFormat>& except = {});

}  // namespace narrow::quant
