#include "kernels/conv/conv_clamp.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "kernels/byte_function_fit.h"
#include "kernels/requantize.h"

namespace narrow::kernels {

IntegerBounds integer_bounds(const ConvSpec& spec) {
  if (!is_int8(spec.dst)) return {};
  IntegerBounds b = spec.dst == DType::u8 ? IntegerBounds{0, 255} : IntegerBounds{-128, 127};
  const auto stored = [&](float v) {
    return requantize_bound(v, spec.dst_quant.scale, spec.dst_quant.zero_point);
  };
  if (spec.activation.kind == Act::relu) b.low = std::clamp(spec.dst_quant.zero_point, b.low, b.high);
  if (spec.activation.kind == Act::clip) {
    b.low = std::clamp(stored(spec.activation.alpha), b.low,
                       b.high);  // it may lie wholly outside of what dst holds
    b.high = std::clamp(stored(spec.activation.beta), b.low, b.high);
  }
  return b;
}

bool is_one_factor(const ConvSpec& spec) {
  return is_int8(spec.src) && is_int8(spec.dst) && (spec.activation.is_clamp() || spec.function != nullptr) &&
         (spec.residual == DType::undefined || is_int8(spec.residual));
}

IntegerBounds factor_bounds(const ConvSpec& spec) {
  return spec.function != nullptr ? IntegerBounds{-32768, 32767} : integer_bounds(spec);
}

int32_t factor_zero(const ConvSpec& spec) { return spec.function != nullptr ? 0 : spec.dst_quant.zero_point; }

void give_function(ConvSpec& spec) {
  const bool integers =
      is_int8(spec.src) && is_int8(spec.dst) && (spec.residual == DType::undefined || is_int8(spec.residual));
  if (integers && spec.dst_scales.empty())
    spec.function = byte_function(spec.activation, spec.dst, spec.dst_quant);
}

std::string unsupported_dst_scales(const ConvSpec& spec) {
  if (spec.dst_scales.empty()) return {};
  if (static_cast<int64_t>(spec.dst_scales.size()) != spec.shape.oc)
    return fmt::format("{} scales of dst: wants {}", spec.dst_scales.size(), spec.shape.oc);
  // The bounds of a clip would be another code in each of them.
  const bool one_bound = spec.activation.kind == Act::none || spec.activation.kind == Act::relu;
  if (!is_one_factor(spec) || !one_bound || spec.residual != DType::undefined || spec.shape.groups != 1)
    return "scales of dst per output want integers, none or relu, no residual, groups = 1";
  return {};
}

float residual_multiplier(const ConvSpec& spec) {
  return static_cast<float>(static_cast<double>(spec.residual_quant.scale) / spec.dst_scale(0));
}

Activation as_clip(const Activation& activation) {
  const float inf = std::numeric_limits<float>::infinity();
  if (activation.kind == Act::none) return {Act::clip, -inf, inf};
  if (activation.kind == Act::relu) return {Act::clip, 0, inf};
  return activation;
}

}  // namespace narrow::kernels
