// Cross-layer equalisation: channels between layers are scaled such that bytes suit all of them.
//
// Source: Nagel et al., "Data-Free Quantization through Weight Equalization and Bias Correction",
// arXiv:1906.04721, 4.1; the criterion is another, because weights have a scale per channel here and values
// are calibrated (scale_cost.h). docs/methods/equalization.md.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "calib/profile.h"
#include "ir/graph.h"

namespace narrow::quant {

struct EqualizeOptions {
  /// A channel that stays below a Clip's bound by calibration may be scaled until its largest value times
  /// this reaches the bound.
  double clip_margin = 1.1;
  /// How far to believe the extent a channel showed on the calibration data: 1, it will not grow; 0, it may
  /// become as large as the largest, and nothing moves (scale_cost.h).
  double trust = 0.5;
  /// 4: weights will be stored in 4 bits where enough of them are summed (w4a8).
  int weight_bits = 8;
  /// Groups whose expected error would not fall by this many dB are left as they are.
  double least_gain_db = 0.05;
};

/// What was done to one group of channels.
struct EqualizedGroup {
  std::vector<std::string> producers, consumers;  // ONNX names of the layers around it
  int64_t channels = 0;                           // with a factor of their own
  double smallest = 1, largest = 1;               // factor
  double gain_db = 0;  // by how much the expected error of the consumers' results fell
};

struct EqualizeReport {
  std::vector<EqualizedGroup> groups;   // only those that changed
  std::vector<std::string> left_alone;  // "value: why", where a layer's result could not be scaled
  std::string note;                     // for Recipe::notes; empty when nothing changed
};

/// Changes constants of `graph` (portable, FP32) in place; it computes what it did up to the rounding of the
/// changed constants. With a profile, Clips do on the calibration data exactly what they did; without one,
/// channels before a Clip with a bound other than 0 are left alone, and the extent of a channel is guessed
/// from the weights that make it. Calibrate again afterwards.
Result<EqualizeReport> equalize(ir::Graph& graph, const calib::Profile* profile,
                                const EqualizeOptions& options = {});

}  // namespace narrow::quant
