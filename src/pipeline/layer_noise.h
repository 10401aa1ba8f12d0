// What the outputs lose by each layer alone.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "parallel/thread_pool.h"
#include "pipeline/mix_input.h"
#include "pipeline/mix_memory.h"

namespace narrow::pipeline {

struct NoiseOptions {
  quant::PlanOptions plan;
  quant::Wide pinned;
  int64_t samples = 8;   // of the calibration data
  double seconds = 300;  // after which no new layer is measured
};

struct LayerNoise {
  /// By layer, for int8 and every int8-dynamic and weight-only format that was built, and for half formats
  /// that some norm or attention has: noise power of the outputs over their power.
  std::map<quant::NodeFormat, std::vector<double>> of;
  int64_t measured = 0, wanted = 0;  // layers and formats
};

/// Each layer alone in a format, all others in FP32, on samples of the calibration data. Noises of one format
/// are scaled to that of its uniform build: together layers lose more or less than each alone, and it is
/// their sum that a bound is held against. What time does not suffice for is estimated: int8 from what the
/// layer loses on FP32 inputs, other formats from its noise in int8, in the proportion the measured ones
/// show. Of half formats norms and attentions are measured alone, the other layers together. Errors: those of
/// the data, the engine and the plan.
Result<LayerNoise> measure_layer_noise(const MixInput& input, const std::vector<search::MixLayer>& layers,
                                       const NoiseOptions& options, MixMemory& memory,
                                       const std::shared_ptr<ThreadPool>& pool, const Progress& progress);

}  // namespace narrow::pipeline
