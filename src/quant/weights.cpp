#include "quant/weights.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace narrow::quant {
namespace {

/// Channels lie `inner` elements apart, and begin again after all of them.
struct Channels {
  int64_t count = 1, inner = 1, outer = 1;
};

Channels channels_of(const Tensor& weights, int64_t axis) {
  if (axis < 0) return {.inner = weights.elements()};
  Channels channels{.count = weights.dim(axis)};
  for (int64_t a = 0; a < axis; ++a) channels.outer *= weights.dim(a);
  for (int64_t a = axis + 1; a < weights.rank(); ++a) channels.inner *= weights.dim(a);
  return channels;
}

/// Calls f(channel, value, position) for every element, those of a channel in their order; the elements of
/// a few channels before those of others, so that what is kept of each stays near.
template <class F>
void for_each_channel(const Tensor& weights, int64_t axis, F&& f) {
  constexpr int64_t kTogether = 32;
  const float* values = weights.data<float>().data();
  const Channels channels = channels_of(weights, axis);
  for (int64_t first = 0; first < channels.count; first += kTogether)
    for (int64_t o = 0; o < channels.outer; ++o)
      for (int64_t c = first; c < std::min(channels.count, first + kTogether); ++c) {
        const auto start = static_cast<size_t>((o * channels.count + c) * channels.inner);
        for (size_t i = start; i < start + static_cast<size_t>(channels.inner); ++i)
          f(static_cast<size_t>(c), values[i], i);
      }
}

/// The largest code: as many below zero as above.
constexpr int32_t largest_code(int bits) { return (1 << (bits - 1)) - 1; }

/// clamp(round_half_even(x), -end, end)
float nearest_code(float x, float end) {
  constexpr float kToInteger = 12582912;  // 1.5 * 2^23: its sums with codes are integers, ties to even
  return (std::clamp(x, -end, end) + kToInteger) - kToInteger;
}

/// What a channel errs by at every clip, in squares.
struct Clips {
  static constexpr size_t kCount = 16;
  std::array<float, kCount> scale{}, inverse{};
  std::array<double, kCount> error{};

  Clips(float largest, const IntegerRange& range) {
    for (size_t s = 0; s < kCount; ++s) {
      const float factor = 1.0F - 0.02F * static_cast<float>(s);
      scale[s] = symmetric_from_magnitude(largest * factor, range).scale;
      inverse[s] = 1.0F / scale[s];
    }
  }

  void add(float w, float end) {
    for (size_t s = 0; s < kCount; ++s) {
      const double d = static_cast<double>(nearest_code(w * inverse[s], end)) * scale[s] - w;
      error[s] += d * d;
    }
  }

  float best() const { return scale[static_cast<size_t>(std::ranges::min_element(error) - error.begin())]; }
};

}  // namespace

Quantization weight_scales(const Tensor& weights, int64_t axis, int bits) {
  const auto channels = static_cast<size_t>(weights.dim(axis));
  std::vector<float> largest(channels, 0);
  for_each_channel(weights, axis,
                   [&](size_t c, float w, size_t) { largest[c] = std::max(largest[c], std::fabs(w)); });
  const IntegerRange range{-largest_code(bits), largest_code(bits)};
  const auto end = static_cast<float>(range.high);
  std::vector<Clips> clips;
  for (const float most : largest) clips.emplace_back(most, range);
  for_each_channel(weights, axis, [&](size_t c, float w, size_t) { clips[c].add(w, end); });
  Quantization quant{.scale = {}, .zero_point = std::vector<int32_t>(channels, 0), .axis = axis};
  for (const Clips& channel : clips) quant.scale.push_back(channel.best());
  return quant;
}

Tensor quantize_weights(const Tensor& weights, const Quantization& quant, int bits) {
  const auto end = static_cast<float>(largest_code(bits));
  Tensor codes = Tensor::allocate(DType::s8, weights.shape());
  auto out = codes.mutable_data<int8_t>();
  for_each_channel(weights, quant.axis, [&](size_t c, float w, size_t i) {
    out[i] = static_cast<int8_t>(nearest_code(w / quant.scale[c], end));
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
