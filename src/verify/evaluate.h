// Runs the reference and several builds over one data set, a batch at a time.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "data/dataset.h"
#include "ir/interface.h"
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

/// Samples as they lie, or in another order that may end early.
struct EvaluationOrder {
  /// Units of Dataset::batch_of(1) samples in the order they are taken; empty: all, as they lie.
  std::vector<int64_t> units;
  /// Whether a build is still to be run; none: all are. Those that are not keep the scores they have.
  std::function<bool(size_t build)> needs = {};
  /// Asked after every unit; true: no more are needed.
  std::function<bool(const Evaluation&)> enough;
};
/// All units, shuffled; a last one that is not full stays out. Not for sequences (DatasetInfo::states).
std::vector<int64_t> random_units(const data::Dataset& dataset, uint64_t seed);

Result<Evaluation> evaluate(runtime::Session& reference, const std::vector<Contestant>& builds,
                            const data::Dataset& dataset, ThreadPool& pool, const Progress& progress = {},
                            const OutputSink& sink = {}, const EvaluationOrder& order = {});

/// The model's inputs in the form data sets are checked against.
std::vector<data::InputSpec> input_specs(const ir::Interface& model);

}  // namespace narrow::verify
