// The Q/DQ pairs of a model that came quantized: which of them the engine could not turn into integer
// operators, and why.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "ir/graph.h"

namespace narrow::pipeline {

/// A DequantizeLinear whose numbers are computed on in FP32, for one operator that reads them.
struct FloatPair {
  std::string quantize;    // ONNX name; empty where the integers are a constant
  std::string dequantize;  // ONNX name
  std::string reader, op;  // who computes in FP32
  std::string reason;
};

struct GivenPairs {
  int64_t total = 0;  // DequantizeLinear nodes, each with what quantizes before it
  std::vector<FloatPair> floats;

  /// DequantizeLinear nodes with an entry in `floats`.
  int64_t staying() const;
  /// "12 of 60 Q/DQ pairs stay in FP32: 'a' (Softmax 'x': reason), ..."; the first few, and how many more.
  std::string summary() const;
};

/// `given`: a model with Q/DQ nodes whose codes and results carry the origin of what was quantized
/// (Original::given). The engine's passes run on a copy, up to where operators become integer operators; a
/// DequantizeLinear left with a reader is a pair in FP32. One that only the model's results read is not.
Result<GivenPairs> pairs_left_in_float(const ir::Graph& given);

Json to_json(const GivenPairs& pairs);

}  // namespace narrow::pipeline
