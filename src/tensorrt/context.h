// What the groups of rules share. Each group looks at one node and reports what it breaks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensorrt/rules.h"

namespace narrow::tensorrt {

struct Context {
  int64_t opset;
  std::vector<Violation>& found;

  void report(const ir::Node& node, std::string rule, std::string expected, std::string got,
              std::string remedy) {
    found.push_back(
        {node.location(), std::move(rule), std::move(expected), std::move(got), std::move(remedy)});
  }
};

/// QuantizeLinear or DequantizeLinear.
bool is_linear(const ir::Node& node);
/// The integers (or narrow floats) of a QuantizeLinear or DequantizeLinear; its real numbers.
const ir::Value& codes_of(const ir::Node& linear);
const ir::Value& reals_of(const ir::Node& linear);
/// Known before any input is: a constant, or made of one by Q, DQ, Cast, Transpose, Reshape or Identity.
bool is_weight(const ir::Value& value);
/// More than one scale: per index of an axis, or per block.
bool has_many_scales(const ir::Node& linear);

/// Types, zero points, scales and the opset that a Q or DQ needs.
void check_parameters(Context& context, const ir::Node& linear);
/// One scale, scales along an axis, blocks: which of them the place in the graph allows.
void check_granularity(Context& context, const ir::Node& linear);
/// Who reads and makes quantized values.
void check_neighbours(Context& context, const ir::Node& node);

}  // namespace narrow::tensorrt
