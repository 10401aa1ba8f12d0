// The per-layer choice of formats: what each layer costs and disturbs in every format that was built, an
// exact choice among them (search/mix.h), and trials against the gates.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "bench/profile.h"
#include "calib/profile.h"
#include "data/dataset.h"
#include "ir/graph.h"
#include "parallel/thread_pool.h"
#include "pipeline/judge.h"
#include "pipeline/quantization.h"
#include "search/mix.h"
#include "verify/layers.h"

namespace narrow::pipeline {

/// A build in one format throughout, as far as it goes: where its time goes, and the noise of its outputs.
struct UniformBuild {
  quant::NodeFormat format;
  bench::Profile profile;
  double noise = 0;  // Judgement::noise(); 0 for fp32
};

struct MixInput {
  const ir::Graph& original;
  const calib::Profile& profile;
  const data::Dataset& calib;
  const std::map<std::string, Shape>& shapes;  // of one sample
  const Quantized& int8;
  const std::vector<verify::LayerReport>& int8_layers;
  std::vector<UniformBuild> builds;  // fp32 and int8 among them
};

struct MixOptions {
  quant::PlanOptions plan;
  quant::Wide pinned;     // layers whose format somebody asked for
  double minutes = 10;    // after which no new trial is begun
  int64_t samples = 8;    // of the calibration data, on which a layer's noise is measured
  double cast_gb_s = 10;  // at which conversions between layers run
};

/// One mix that was held against the gates.
struct MixTrial {
  double ms = 0, noise = 0;  // predicted
  int64_t wide = 0;          // layers that are not int8
  bool holds = false;
  std::string gates;  // "top1.drop 0.86 pp > 0.5 pp"
};

struct MixFound {
  Quantized mix;  // as the best trial, or int8 where that is the fastest that holds
  bool holds = false, is_int8 = false;
  bool out_of_time = false;
  search::MixProblem problem;
  search::Mix chosen;
  std::vector<search::Mix> front;
  std::vector<MixTrial> trials;
  std::vector<std::string> notes;
};

/// Finds the fastest mix that holds the gates of `judge` (which scores on the evaluation data). Errors: those
/// of the data, the engine and the plan.
Result<MixFound> search_mix(const MixInput& input, const MixOptions& options, Judge& judge,
                            const std::shared_ptr<ThreadPool>& pool, const Progress& progress = {});

/// layers (choices with ms and noise, and which was taken), front, trials.
Json to_json(const MixFound& found);

}  // namespace narrow::pipeline
