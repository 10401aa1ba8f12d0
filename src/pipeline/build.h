// The whole way: a model and data in; builds in several precisions, each proven and measured; a decision;
// files out.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "artifact/ledger.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "bench/bench.h"
#include "bench/profile.h"
#include "calib/range.h"
#include "pipeline/comparisons.h"
#include "pipeline/decision.h"
#include "pipeline/given_pairs.h"
#include "pipeline/model.h"
#include "pipeline/sequential_proof.h"
#include "pipeline/variant.h"
#include "quant/methods.h"
#include "quant/recipe.h"
#include "verify/figures.h"
#include "verify/gate.h"
#include "verify/layers.h"

namespace narrow::pipeline {

struct BuildOptions {
  std::filesystem::path model, calib, eval, out;  // eval may be empty: no accuracy figures
  std::vector<quant::Precision> precisions = {quant::Precision::fp32, quant::Precision::bf16,
                                              quant::Precision::fp16, quant::Precision::int8,
                                              quant::Precision::mixed};
  std::vector<verify::Gate> gates;
  Objective objective = Objective::latency;
  verify::Proof proof = verify::Proof::point;
  std::string metric_command;
  int64_t batch = 1;
  int threads = 0;  // 0: one per core
  uint64_t seed = 1;
  calib::RangeOptions ranges;
  quant::Target target = quant::Target::portable;
  int64_t memory = 0;                      // bytes for calibration; 0: no bound
  std::optional<int64_t> group_size = {};  // of quant::PlanOptions
  std::vector<quant::MethodUse> methods = quant::standard_methods();
  std::vector<std::string> wide;  // quant::parse_wide
  double budget_minutes = 10;     // of the search for a mix
  double bench_seconds = 1;       // per build
  TacticSource tactics = TacticSource::tuned;
  int64_t layer_samples = 4;  // for the per-layer figures
};

/// One build with everything known of it.
struct Build {
  quant::Precision precision;
  std::string name;
  quant::Recipe recipe;
  int64_t file_bytes = 0, onnx_bytes = 0;
  artifact::Ledger ledger;  // of the .narrow file
  verify::Figures figures;  // empty without evaluation data
  std::vector<verify::GateResult> gates;
  std::vector<verify::LayerReport> layers;
  std::vector<std::string> findings;
  bench::Record record;
  runtime::PlanInfo plan;                 // of what was timed
  std::optional<bench::Profile> profile;  // of the same, with roofs; the chosen build has it
  std::optional<double> custom_metric;
};

struct BuildResult {
  ModelSummary summary;
  std::vector<passes::PassRecord> passes;
  std::string model_hash, calib_hash, eval_hash;
  int64_t calib_samples = 0;
  std::vector<Build> builds;         // fp32 first
  std::vector<std::string> notes;    // about the model as it came
  GivenPairs given_pairs;            // its Q/DQ pairs, where it came quantized
  std::vector<std::string> skipped;  // precisions not built, with the reason
  Comparisons comparisons;
  std::vector<TakenSamples> taken;  // with Proof::sequential
  Decision decision;
  Json mix;  // what the search for a mix found (mix_search.h); null: there was none
  Json manifest;
  bool gates_passed() const;
  bool inconclusive() const;
};

/// Nothing is left in options.out unless everything could be written. Errors name what was wrong with which
/// input.
Result<BuildResult> build(const BuildOptions& options, const Progress& progress = {});

}  // namespace narrow::pipeline
