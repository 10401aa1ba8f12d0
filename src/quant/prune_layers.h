// Pruning over a whole model: which layers, layer after layer, each fitted to what the original's answers,
// given what the layers before it really produce (docs/methods/pruning.md).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "data/dataset.h"
#include "ir/graph.h"
#include "parallel/thread_pool.h"
#include "quant/layer_walk.h"
#include "quant/prune_pattern.h"
#include "quant/recipe.h"

namespace narrow::quant {

struct PruneOptions {
  PrunePattern pattern;
  bool by_loss = true;     // else by magnitude
  bool compensate = true;  // the weights that stay make up for those that went
  int64_t fewest = 2048;   // layers of fewer weights stay dense
  double damping = 0.03;   // of the mean of the diagonal of H (rounding_problem.h)
  WalkOptions walk;

  bool wants_data() const { return by_loss || compensate; }
};

/// What was done to `key`'s weights.
struct PrunedLayer {
  std::string key;
  PrunedWeights counts;
};

struct PruneReport {
  std::vector<PrunedLayer> layers;
  std::map<std::string, std::string> dense;  // heavy layers that stay as they are, and why
  PrunedWeights total() const;
  /// "prune: 1.2M of 2.4M weights of 21 layers are zero (...); dense: 'a' (reads the model's input), ..."
  std::string note(const PruneOptions& options) const;
};

/// Changes the weights, and with data the biases, of the heavy layers of `graph` (portable FP32); nodes and
/// their names stay. `dataset` may be null where the options want no data. Deterministic for any number of
/// threads. Errors: those of LayerWalk.
Result<PruneReport> prune(ir::Graph& graph, const data::Dataset* dataset, std::shared_ptr<ThreadPool> pool,
                          const PruneOptions& options, const Progress& progress = {});

}  // namespace narrow::quant
