// Runs the reference and several builds over one data set, a batch at a time.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "data/dataset.h"
#include "runtime/session.h"
#include "verify/scores.h"

namespace narrow::verify {

struct Contestant {
  std::string name;
  runtime::Session* session;
};

/// Sees every batch's outputs (for --metric-cmd); index 0 is the reference, then the contestants in order.
using OutputSink =
    std::function<Status(size_t contestant, const data::Batch& batch, const TensorMap& outputs)>;

struct Evaluation {
  std::vector<SampleScore> reference;
  std::vector<std::vector<SampleScore>> builds;  // as the contestants
};

Result<Evaluation> evaluate(runtime::Session& reference, const std::vector<Contestant>& builds,
                            const data::Dataset& dataset, ThreadPool& pool, const Progress& progress = {},
                            const OutputSink& sink = {});

/// The model's inputs in the form data sets are checked against.
std::vector<data::InputSpec> input_specs(const runtime::Session& session);
std::vector<data::InputSpec> input_specs(const ir::Graph& graph);

}  // namespace narrow::verify
