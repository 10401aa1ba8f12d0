#include "quant/weights.h"

#include <algorithm>
#include <cmath>

namespace narrow::quant {
namespace {

/// Calls f(channel, value, position) for every element.
template <class F>
void for_each_channel(const Tensor& weights, int64_t axis, F&& f) {
  const auto values = weights.data<float>();
  int64_t inner = 1, channels = 1;
  if (axis >= 0) {
    channels = weights.dim(axis);
    for (int64_t a = axis + 1; a < weights.rank(); ++a) inner *= weights.dim(a);
  } else {
    inner = weights.elements();
  }
  for (size_t i = 0; i < values.size(); ++i)
    f(static_cast<size_t>(static_cast<int64_t>(i) / inner % channels), values[i], i);
}

/// The largest code: as many below zero as above.
constexpr int32_t largest_code(int bits) { return (1 << (bits - 1)) - 1; }

float clamp_code(float x, float largest) { return std::clamp(x, -largest, largest); }

}  // namespace

Quantization weight_scales(const Tensor& weights, int64_t axis, int bits) {
  const auto channels = static_cast<size_t>(weights.dim(axis));
  std::vector<float> largest(channels, 0);
  for_each_channel(weights, axis,
                   [&](size_t c, float w, size_t) { largest[c] = std::max(largest[c], std::fabs(w)); });
  Quantization quant{
      .scale = std::vector<float>(channels), .zero_point = std::vector<int32_t>(channels, 0), .axis = axis};
  std::vector<double> least(channels, -1);
  const IntegerRange range{-largest_code(bits), largest_code(bits)};
  const auto end = static_cast<float>(range.high);
  for (int step = 0; step <= 15; ++step) {
    const float factor = 1.0F - 0.02F * static_cast<float>(step);
    std::vector<float> scale(channels), inverse(channels);
    std::vector<double> error(channels, 0);
    for (size_t c = 0; c < channels; ++c)
      scale[c] = symmetric_from_magnitude(largest[c] * factor, range).scale, inverse[c] = 1.0F / scale[c];
    for_each_channel(weights, axis, [&](size_t c, float w, size_t) {
      const double d = static_cast<double>(clamp_code(round_half_even(w * inverse[c]), end)) * scale[c] - w;
      error[c] += d * d;
    });
    for (size_t c = 0; c < channels; ++c)
      if (least[c] < 0 || error[c] < least[c]) least[c] = error[c], quant.scale[c] = scale[c];
  }
  return quant;
}

Tensor quantize_weights(const Tensor& weights, const Quantization& quant, int bits) {
  const auto end = static_cast<float>(largest_code(bits));
  Tensor codes = Tensor::allocate(DType::s8, weights.shape());
  auto out = codes.mutable_data<int8_t>();
  for_each_channel(weights, quant.axis, [&](size_t c, float w, size_t i) {
    out[i] = static_cast<int8_t>(clamp_code(round_half_even(w / quant.scale[c]), end));
  });
  return codes;
}

std::vector<float> bias_correction(const Tensor& weights, const Tensor& rounded, int64_t axis, int64_t groups,
                                   const std::vector<float>& input_mean) {
  const int64_t channels = weights.dim(axis), input_axis = axis == 0 ? 1 : 0,
                inputs = weights.dim(input_axis);
  int64_t input_stride = 1;
  for (int64_t a = input_axis + 1; a < weights.rank(); ++a) input_stride *= weights.dim(a);
  const auto approximate = rounded.data<float>();
  std::vector<double> shift(static_cast<size_t>(channels), 0);
  for_each_channel(weights, axis, [&](size_t c, float w, size_t i) {
    const int64_t group = static_cast<int64_t>(c) / (channels / groups);
    const int64_t input = group * inputs + static_cast<int64_t>(i) / input_stride % inputs;
    shift[c] += static_cast<double>(approximate[i] - w) * input_mean[static_cast<size_t>(input)];
  });
  std::vector<float> correction;
  for (const double s : shift) correction.push_back(static_cast<float>(-s));
  return correction;
}

Tensor dequantize_weights(const Tensor& codes, const Quantization& quant) {
  Tensor real = cast(codes, DType::f32).clone();
  const Tensor copy = real.clone();
  auto out = real.mutable_data<float>();
  for_each_channel(copy, quant.axis, [&](size_t c, float q, size_t i) { out[i] = q * quant.scale[c]; });
  return real;
}

Tensor quantize_bias(const Tensor& bias, float input_scale, const Quantization& weights) {
  Tensor codes = Tensor::allocate(DType::s32, bias.shape());
  const auto values = bias.data<float>();
  auto out = codes.mutable_data<int32_t>();
  for (size_t i = 0; i < values.size(); ++i) {
    const double step = static_cast<double>(input_scale * weights.scale[weights.per_tensor() ? 0 : i]);
    out[i] = static_cast<int32_t>(std::clamp(std::nearbyint(values[i] / step), -2147483647.0, 2147483647.0));
  }
  return codes;
}

int64_t fit_bias(const Tensor& bias, float input_scale, Quantization& weights) {
  constexpr double kLargest = 1 << 30;
  int64_t raised = 0;
  const auto values = bias.data<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    float& scale = weights.scale[weights.per_tensor() ? 0 : i];
    const double wanted = std::fabs(static_cast<double>(values[i])) / (kLargest * input_scale);
    if (scale >= wanted) continue;
    scale = static_cast<float>(wanted * 1.0001);
    ++raised;
  }
  return raised;
}

}  // namespace narrow::quant
