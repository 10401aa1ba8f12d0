// Codes of weights in 2 to 8 bits: their bounds, their scales weight by weight.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "quant/groups.h"

namespace narrow::quant {

struct CodeRange {
  float low, high;
};

/// [-2^(bits-1), 2^(bits-1) - 1] for signed types (8 bits: from -127), [0, 2^bits - 1] for others,
/// [-1, 1] for ternary and binary.
CodeRange code_range(const GroupedWeights& weights);
/// The scale of every weight; its zero point.
std::vector<float> scales_of_weights(const GroupedWeights& weights);
std::vector<float> zero_points_of_weights(const GroupedWeights& weights);
/// clamp(round_half_even(x / scale) + zero_point) with the scales and zero points of `parameters`; the zero
/// point where a weight stands apart there. Not for binary codes.
Tensor nearest_codes(const GroupedWeights& parameters, std::span<const float> x);
/// Errors: invalid_argument naming `layer`: bits outside 2..8, two codes only, another number of codes, codes
/// out of range.
Status check_codes(const GroupedWeights& weights, size_t count, const std::string& layer);

}  // namespace narrow::quant
