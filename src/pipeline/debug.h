// `narrow debug`: why a build fails its gates, and the least that mends it (docs/debug.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "pipeline/findings.h"
#include "pipeline/judge.h"
#include "pipeline/remedy.h"
#include "quant/recipe.h"
#include "search/blame.h"
#include "search/culprits.h"
#include "verify/gate.h"
#include "verify/layers.h"

namespace narrow::pipeline {

struct DebugOptions {
  std::filesystem::path model, calib, eval;
  std::vector<verify::Gate> gates;
  quant::Precision precision = quant::Precision::int8;  // not fp32, not mixed
  verify::Proof proof = verify::Proof::point;
  std::string metric_command;
  calib::RangeOptions ranges;
  std::vector<quant::MethodUse> methods = quant::standard_methods();
  std::optional<int64_t> group_size = {};
  double budget_minutes = 10;  // after which no new trial is begun
  int threads = 0;
  uint64_t seed = 1;
  int64_t memory = 0;
  int64_t layer_samples = 4;
};

/// One build that was tried.
struct DebugTrial {
  std::string setting;            // "mse, gptq"
  std::vector<std::string> wide;  // "conv_1=bf16"
  Judgement judgement;
  double seconds = 0;  // rounding of weights included
};

struct DebugResult {
  Judgement start;                         // the build as it would be made
  int64_t samples = 0, narrow_layers = 0;  // evaluation samples; layers narrower than FP32
  std::vector<verify::LayerReport> layers;
  search::Blame blame;
  std::vector<Finding> findings;
  std::vector<std::string> notes;  // about the model and the recipe
  std::vector<DebugTrial> trials;  // as they were made
  std::optional<search::Culprits> culprits;
  std::vector<std::string> culprit_names;  // of culprits->layers
  std::optional<BuildRequest> remedy;
  std::optional<Judgement> proof;  // of the remedy, as `narrow build` will make it
  bool out_of_time = false;
  double seconds = 0;
};

/// Errors: usage when no gate is about answers; those of the data, the engine, and gates that cannot be
/// computed.
Result<DebugResult> debug(const DebugOptions& options, const Progress& progress = {});

Json to_json(const DebugResult& result, const DebugOptions& options);

}  // namespace narrow::pipeline
