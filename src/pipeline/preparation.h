// What graph methods make of a model before it is quantized, calibrated again: the same function from other
// constants (rotate, equalize, absorb-bias, smooth, awq), or fewer weights (pruning.h).
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "calib/profile.h"
#include "data/dataset.h"
#include "ir/graph.h"
#include "parallel/thread_pool.h"
#include "quant/methods.h"
#include "quant/plan_formats.h"

namespace narrow::pipeline {

struct Prepared {
  ir::Graph graph;
  calib::Profile profile;
  /// Where weights were pruned: the same graph with all of them, which it should answer like, and how many
  /// are zero by layer.
  std::shared_ptr<const ir::Graph> dense = nullptr;
  std::map<std::string, quant::PrunedWeights> pruned = {};
  std::set<std::string> rescaled = {};  // values that are not the original's (verify/rescaled.h)

  const ir::Graph& answers() const { return dense != nullptr ? *dense : graph; }
};

/// What a recipe is made from. `profile` may be null where the precision needs none, `dataset` too: methods
/// that need data are left out then, and a note of the recipe says so.
struct QuantizeInput {
  const ir::Graph& graph;
  const calib::Profile* profile = nullptr;
  const data::Dataset* dataset = nullptr;
};

struct QuantizeOptions {
  quant::PlanOptions plan;
  std::vector<quant::MethodUse> methods = quant::standard_methods();
  int64_t memory = 0;  // bytes of values that methods may keep; 0: their own bound
};

/// Runs the graph methods of the list that keep the function and concern `precision`, in order. Null where
/// nothing changed. What was done, or why not, is added to `notes`. Errors: those of the data and of
/// calibration.
Result<std::shared_ptr<const Prepared>> prepare(const QuantizeInput& input, quant::Precision precision,
                                                const QuantizeOptions& options,
                                                const std::shared_ptr<ThreadPool>& pool,
                                                std::vector<std::string>& notes,
                                                const Progress& progress = {});

}  // namespace narrow::pipeline
