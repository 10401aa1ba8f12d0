// The methods of a recipe that round: hqq, seqmse, gptq, adaround, brecq.
#pragma once

#include <memory>

#include "base/progress.h"
#include "base/result.h"
#include "parallel/thread_pool.h"
#include "pipeline/preparation.h"
#include "quant/methods.h"
#include "quant/recipe.h"

namespace narrow::pipeline {

/// Runs `use` over `recipe`, which was planned for the graph of `input`, and adds a note of what was done, or
/// why not. Does nothing for methods that do not round. `answers`: what the layers of that graph should
/// answer like. Errors: those of the data and of running the model.
Status run_rounding(const quant::MethodUse& use, const QuantizeInput& input, const ir::Graph& answers,
                    const QuantizeOptions& options, const std::shared_ptr<ThreadPool>& pool,
                    quant::Recipe& recipe, const Progress& progress = {});

}  // namespace narrow::pipeline
