// High-bias absorption: a constant that every number of a channel holds goes into the biases of the layers
// that read it, and what is stored between needs a smaller range.
//
// Source: Nagel et al., "Data-Free Quantization through Weight Equalization and Bias Correction",
// arXiv:1906.04721, 4.1.3. docs/methods/absorb-bias.md.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "calib/profile.h"
#include "ir/graph.h"

namespace narrow::quant {

struct AbsorbOptions {
  /// A value is left as it is unless its range shrinks by this share.
  double least_gain = 0.02;
  /// Behind a Relu the constant stays below the smallest number seen by this share of the channel's extent:
  /// other data may reach lower, and what falls below the constant is lost.
  double margin = 0.1;
};

struct AbsorbedValue {
  std::string producer;                      // ONNX name of the layer whose bias was lowered
  std::vector<std::string> consumers;        // and of those whose bias was raised
  int64_t channels = 0;                      // that were shifted
  double range_before = 0, range_after = 0;  // of the value the consumers read
};

struct AbsorbReport {
  std::vector<AbsorbedValue> values;
  std::string note;  // for Recipe::notes; empty when nothing changed
};

/// For a layer whose result reaches only layers that can take a constant up (convolutions without padding,
/// Gemm, MatMul with a bias behind it), through nothing or through activations and pools:
///   through a Relu (or a Clip at 0 whose other bound is not passed)
///                                     c = the smallest number of the channel before it, less a margin, where
///                                     that is above 0
///   otherwise                         c = the middle of the channel's range, where that narrows the whole
///   b_producer -= c,  b_consumer += W c
/// Without a Relu the model computes what it did. With one it does where the channel stays above c, as it
/// does on the calibration data. Changes constants of `graph` (portable, FP32) in place. Calibrate again
/// afterwards.
Result<AbsorbReport> absorb_bias(ir::Graph& graph, const calib::Profile& profile,
                                 const AbsorbOptions& options = {});

}  // namespace narrow::quant
