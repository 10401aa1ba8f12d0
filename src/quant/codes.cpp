#include "quant/codes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "numerics/quantization.h"

namespace narrow::quant {

CodeRange code_range(const GroupedWeights& w) {
  if (w.set != CodeSet::integers) return {-1, 1};
  const DType type = w.codes.dtype();
  const float half = std::ldexp(1.0F, w.bits - 1);
  if (type != DType::s8 && type != DType::s4 && type != DType::s2) return {0, 2 * half - 1};
  return {w.bits == 8 ? -127.0F : -half, half - 1};
}

namespace {

/// A parameter of every weight: the numbers that codes of 1 stand for when the parameter is the scale.
std::vector<float> spread(const GroupedWeights& w, const Tensor& parameter) {
  GroupedWeights ones = w;
  ones.codes = Tensor::of(w.codes.shape(), std::vector<float>(static_cast<size_t>(w.codes.elements()), 1.0F));
  ones.scale = parameter;
  ones.zero_point = {};
  ones.apart = {};
  return to_floats(dequantize_groups(ones));
}

}  // namespace

std::vector<float> scales_of_weights(const GroupedWeights& w) { return spread(w, w.scale); }

std::vector<float> zero_points_of_weights(const GroupedWeights& w) {
  if (!w.zero_point.defined()) return std::vector<float>(static_cast<size_t>(w.codes.elements()), 0.0F);
  return spread(w, w.zero_point);
}

Tensor nearest_codes(const GroupedWeights& parameters, std::span<const float> x) {
  const CodeRange range = code_range(parameters);
  const std::vector<float> scale = scales_of_weights(parameters), zero = zero_points_of_weights(parameters);
  std::vector<float> codes(x.size());
  for (size_t i = 0; i < x.size(); ++i)
    codes[i] = std::clamp(round_half_even(x[i] / scale[i]) + zero[i], range.low, range.high);
  for (const int64_t place : parameters.apart.places())
    codes[static_cast<size_t>(place)] = zero[static_cast<size_t>(place)];
  return cast(Tensor::of(parameters.codes.shape(), codes), parameters.codes.dtype());
}

Status check_codes(const GroupedWeights& w, size_t count, const std::string& layer) {
  const auto wrong = [&](std::string expected, std::string got) {
    return Error{.code = Code::invalid_argument,
                 .subject = "codes of '" + layer + "'",
                 .expected = std::move(expected),
                 .got = std::move(got),
                 .hint = {}};
  };
  if (w.set == CodeSet::binary) return wrong("codes with a next one", "-1 and 1");
  if (w.bits < 2 || w.bits > 8) return wrong("2 to 8 bits", std::to_string(w.bits));
  if (w.codes.elements() != static_cast<int64_t>(count))
    return wrong(fmt::format("{} weights", count), to_string(w.codes.shape()));
  const CodeRange range = code_range(w);
  for (const float code : to_floats(w.codes))
    if (!(code >= range.low && code <= range.high))
      return wrong(fmt::format("{} to {}", range.low, range.high), fmt::format("{}", code));
  return {};
}

}  // namespace narrow::quant
