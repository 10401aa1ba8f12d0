// From a precision to a recipe: the plan, and the methods that follow it.
#pragma once

#include <memory>
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

struct QuantizeOptions {
  quant::PlanOptions plan;
  std::vector<quant::MethodUse> methods = quant::standard_methods();
  int64_t memory = 0;  // bytes of values that methods may keep; 0: their own bound
};

/// What a recipe is made from. `profile` may be null where the precision needs none, `dataset` too: methods
/// that need data are left out then, and a note of the recipe says so.
struct QuantizeInput {
  const ir::Graph& graph;
  const calib::Profile* profile = nullptr;
  const data::Dataset* dataset = nullptr;
};

/// Errors: those of quant::plan() and of the data.
Result<quant::Recipe> make_recipe(const QuantizeInput& input, quant::Precision precision,
                                  const QuantizeOptions& options, std::shared_ptr<ThreadPool> pool,
                                  const quant::Wide& wide = {}, const Progress& progress = {});

/// `base`, a recipe of this precision without wide layers, with some: the others keep the codes they have
/// there. Quick, and near what make_recipe() gives, which rounds anew. Errors: those of quant::plan().
Result<quant::Recipe> widen_recipe(const QuantizeInput& input, const quant::Recipe& base,
                                   quant::Precision precision, const quant::PlanOptions& plan,
                                   const quant::Wide& wide);

}  // namespace narrow::pipeline
