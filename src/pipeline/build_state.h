// What one `narrow build` has in hand while it walks its stages.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "base/progress.h"
#include "data/dataset.h"
#include "parallel/thread_pool.h"
#include "pipeline/build.h"
#include "pipeline/model.h"
#include "pipeline/sequential_proof.h"
#include "pipeline/variant.h"
#include "quant/wide.h"
#include "verify/evaluate.h"

namespace narrow::pipeline {

struct BuildState {
  const BuildOptions& options;
  const Progress& progress;
  std::shared_ptr<ThreadPool> pool;
  std::filesystem::path folder = {};  // where files are written until all are
  Model model = {};
  std::optional<ir::Graph> given = {};  // the quantized model as it came
  std::unique_ptr<data::Dataset> calib = {}, eval = {};
  calib::Profile profile = {};
  quant::Wide wide = {};  // asked for
  Json origin = {};
  Shapes shapes = {};                         // of one sample
  std::vector<Variant> variants = {};         // as result.builds
  verify::Evaluation scores = {};             // of the builds that were evaluated last
  std::optional<SequentialProof> proof = {};  // with Proof::sequential
  int64_t tried = 0;                          // builds that were scored on the evaluation data
  TensorMap timed_inputs = {};                // what builds are timed on
  BuildResult result = {};

  bool wants(quant::Precision precision) const;
  bool has_int8() const;
  /// Some gate is about answers, not about time or size.
  bool gates_answers() const;
  runtime::Session& reference() const { return *variants.front().session; }
  const data::Dataset& layer_data() const { return eval ? *eval : *calib; }
  /// What a build's layers should answer like, the graph its recipe is for, and the profile of that.
  const ir::Graph& answers_of(const Variant& variant) const;
  const ir::Graph& graph_of(const Variant& variant) const;
  const calib::Profile& profile_of(const Variant& variant) const;
};

}  // namespace narrow::pipeline
