// The step of `narrow build` that searches for a mix, between its builds and the search itself.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "parallel/thread_pool.h"
#include "pipeline/build.h"
#include "pipeline/judge.h"
#include "pipeline/mix_search.h"

namespace narrow::pipeline {

/// One of the builds so far.
struct BuiltUniform {
  const Build* build;
  const Variant* variant;
  std::optional<bool> holds = {};  // the gates, where it is known; else its figures are asked
};

struct MixRequest {
  const BuildOptions& options;
  const ir::Graph& original;
  const calib::Profile& profile;
  const data::Dataset& calib;
  const Shapes& shapes;           // of one sample
  const TensorMap& timed_inputs;  // what builds are timed on
  const quant::Wide& pinned;
  QuantizeOptions quantize;
  std::vector<BuiltUniform> builds;  // fp32 and int8 among them
  std::string about;                 // hashes of model and data
};

/// Prices the layers of every build, those in formats that the machine emulates left out, and searches. What
/// an earlier search found out comes from the cache. Errors: those of search_mix().
Result<MixFound> find_mix(const MixRequest& request, Judge& judge, const std::shared_ptr<ThreadPool>& pool,
                          const Progress& progress);

}  // namespace narrow::pipeline
