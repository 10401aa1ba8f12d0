// Rotation: what products read and write is multiplied by orthogonal matrices that spread outliers over all
// channels, folded into the constants on both sides.
//
// Source: Ashkboos et al., "QuaRot: Outlier-Free 4-Bit Inference in Rotated LLMs", arXiv:2404.00456; the
// matrices R1 and R2 of Liu et al., "SpinQuant: LLM quantization with learned rotations", arXiv:2405.16406.
// docs/methods/rotation.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"

namespace narrow::quant {

struct RotateOptions {
  uint64_t seed = 1;   // of the signs
  bool stream = true;  // residual streams
  bool values = true;  // values of attention, products behind one another
};

struct RotatedStream {
  std::string value;  // that the first of its normalisations reads
  int64_t channels = 0, writers = 0, readers = 0, norms = 0;
  std::string matrix;  // "Hadamard 64"
};

struct RotatedValues {
  std::vector<std::string> producers, consumers;  // ONNX names
  int64_t block = 0, blocks = 0;
  bool attention = false;
  std::string matrix;
};

struct RotateReport {
  std::vector<RotatedStream> streams;
  std::vector<RotatedValues> values;
  std::vector<std::string> left_alone;  // "value: why": streams and values of attention
  std::string note;                     // for Recipe::notes: both of them; empty where there is neither
  bool changed() const { return !streams.empty() || !values.empty(); }
};

/// Residual streams (stream_flow.h): with R orthogonal, and R 1 = 1 where a normalisation takes means off,
///   what writes x:  W -> W R, b -> b R;   what reads norm(x) = n(x) gamma + beta:  W -> Rᵀ diag(gamma) W,
///   gamma -> 1, beta W into the biases behind it (without those: beta -> (beta / gamma) R).
/// Values of attention and products straight behind one another (value_rotations.h), block by block:
///   W_v -> W_v R, W_o -> Rᵀ W_o.
/// Products are taken in double and stored in FP32. Changes constants of `graph` in place; it computes what
/// it did up to their rounding. Constants that other readers need as they are are copied. Calibrate again
/// afterwards.
Result<RotateReport> rotate(ir::Graph& graph, const RotateOptions& options = {});

}  // namespace narrow::quant
