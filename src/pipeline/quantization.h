// From a precision to a recipe: what prepares the model, the plan, and the methods that follow it.
#pragma once

#include <memory>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "calib/profile.h"
#include "ir/graph.h"
#include "parallel/thread_pool.h"
#include "pipeline/preparation.h"
#include "quant/plan_formats.h"

namespace narrow::pipeline {

/// A recipe and what it is for.
struct Quantized {
  quant::Recipe recipe;
  std::shared_ptr<const Prepared> prepared;  // null: the original as it is

  const ir::Graph& graph(const ir::Graph& original) const {
    return prepared != nullptr ? prepared->graph : original;
  }
  /// What the layers should answer like.
  const ir::Graph& answers(const ir::Graph& original) const {
    return prepared != nullptr ? prepared->answers() : original;
  }
  const calib::Profile& profile(const calib::Profile& original) const {
    return prepared != nullptr ? prepared->profile : original;
  }
};

/// Errors: those of quant::plan() and of the data.
Result<Quantized> make_recipe(const QuantizeInput& input, quant::Precision precision,
                              const QuantizeOptions& options, std::shared_ptr<ThreadPool> pool,
                              const quant::Wide& wide = {}, const Progress& progress = {});

/// `base`, a recipe of this precision without wide layers, with some: the others keep the codes they have
/// there. Quick, and near what make_recipe() gives, which rounds anew. `donors`: recipes for the same graph
/// in other precisions; layers of `wide` in such a format keep the codes and scales they have there. Errors:
/// those of quant::plan().
Result<Quantized> widen_recipe(const QuantizeInput& input, const Quantized& base, quant::Precision precision,
                               const quant::PlanOptions& plan, const quant::Wide& wide,
                               const std::vector<const quant::Recipe*>& donors = {});

}  // namespace narrow::pipeline
