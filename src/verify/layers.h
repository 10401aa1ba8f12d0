// Layer by layer against FP32: how much each layer errs alone, and how much has gathered by the time it
// answers.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "data/dataset.h"
#include "numerics/distortion.h"
#include "runtime/session.h"

namespace narrow::verify {

struct LayerFigures {
  Distortion distortion;
  int64_t saturated = 0;      // reference values outside what the stored integers can say
  int64_t dead_channels = 0;  // channels that carry signal in FP32 and only zeros (one constant) here
  int64_t channels = 0;
  double saturated_share() const {
    return distortion.count() > 0 ? static_cast<double>(saturated) / static_cast<double>(distortion.count())
                                  : 0;
  }
};

struct LayerReport {
  std::string node;  // ONNX node name
  std::string op;
  std::string value;      // ONNX value name
  std::string format;     // of the result: "u8"
  bool computes = false;  // has arithmetic of its own (not only a copy or conversion)
  LayerFigures isolated, accumulated;
};

/// Runs `samples` samples (one at a time) through the FP32 graph, the build as deployed, and the build with
/// every layer's inputs replaced by the FP32 values. What runs are the kernels that serve. In the order of
/// execution. `rescaled` (rescaled.h): values whose channels the build scales in another way; FP32's are
/// scaled as the build's are, by a fit over the samples, or left out where channels were mixed.
Result<std::vector<LayerReport>> compare_layers(runtime::Session& observed_reference, runtime::Session& build,
                                                const data::Dataset& dataset, int64_t samples,
                                                ThreadPool& pool, const Progress& progress = {},
                                                const std::set<std::string>& rescaled = {});

Json to_json(const std::vector<LayerReport>& layers);

/// What a reader must know: dead layers and channels, heavy saturation, non-finite values. ONNX nodes are
/// named.
std::vector<std::string> findings(const std::vector<LayerReport>& layers);

}  // namespace narrow::verify
