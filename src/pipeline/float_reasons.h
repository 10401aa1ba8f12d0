// Why an operator behind a DequantizeLinear computes in FP32: the rules of the engine's lowering, in words.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"

namespace narrow::pipeline {

struct FloatReader {
  const ir::Node* node;
  std::string reason;
  bool explained = true;  // by a rule about this operator; else `reason` only says what it is
};

/// Only moves elements (or takes maxima of them): integers pass through it as they are.
bool moves_elements(const ir::Node& node);

/// Operators that read what `dequantize` makes, through what only moves elements, and compute on it in FP32.
/// Where no rule explains any of them, all are listed.
std::vector<FloatReader> float_readers(const ir::Node& dequantize);

}  // namespace narrow::pipeline
