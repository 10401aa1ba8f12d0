#include "quant/weights.h"

#include <gtest/gtest.h>

#include <cmath>

#include "quant/test_weights.h"

namespace narrow::quant {
namespace {

/// Element i's index along `axis`.
size_t channel_of(const Tensor& t, int64_t axis, size_t i) {
  const auto stride = row_major_strides(t.shape())[static_cast<size_t>(axis)];
  return static_cast<size_t>(static_cast<int64_t>(i) / stride % t.dim(axis));
}

std::vector<double> errors_of(const Tensor& weights, const std::vector<float>& scale, int64_t axis) {
  std::vector<double> error(scale.size(), 0);
  const auto w = weights.data<float>();
  for (size_t i = 0; i < w.size(); ++i) {
    const size_t c = channel_of(weights, axis, i);
    const double code =
        std::min(127.0, std::max(-127.0, std::nearbyint(static_cast<double>(w[i]) / scale[c])));
    error[c] += std::pow(code * scale[c] - w[i], 2);
  }
  return error;
}

TEST(WeightScales, ErrNoMoreThanMinmaxAndThanEveryClipOfTheGrid) {
  for (const auto& [shape, axis] : {std::pair<Shape, int64_t>{{5, 3, 3, 3}, 0}, {{40, 7}, 1}, {{7, 40}, 0}}) {
    const Tensor w = random_weights(shape, 3);
    const Quantization q = weight_scales(w, axis);
    const auto channels = static_cast<size_t>(w.dim(axis));
    ASSERT_EQ(q.scale.size(), channels);
    EXPECT_EQ(q.zero_point, std::vector<int32_t>(channels, 0));
    EXPECT_EQ(q.axis, axis);
    std::vector<float> largest(channels, 0);
    for (size_t i = 0; i < w.data<float>().size(); ++i) {
      float& most = largest[channel_of(w, axis, i)];
      most = std::max(most, std::fabs(w.data<float>()[i]));
    }
    const auto chosen = errors_of(w, q.scale, axis);
    for (int step = 0; step <= 15; ++step) {
      std::vector<float> scale(channels);
      for (size_t c = 0; c < channels; ++c)
        scale[c] = largest[c] * (1 - 0.02F * static_cast<float>(step)) / 127;
      const auto other = errors_of(w, scale, axis);
      // The search multiplies by a reciprocal: a weight on a tie may round the other way at equal error.
      for (size_t c = 0; c < channels; ++c) EXPECT_LE(chosen[c], other[c] * (1 + 1e-5)) << step;
    }
  }
}

TEST(WeightScales, ZeroChannelsAndCodes) {
  const Tensor w = Tensor::of<float>({2, 2}, {0, 0, 1, -1});
  const Quantization q = weight_scales(w, 0);
  EXPECT_EQ(q.scale[0], 1);
  const Tensor codes = quantize_weights(w, q);
  EXPECT_EQ(codes.dtype(), DType::s8);
  EXPECT_EQ(to_ints(codes), (std::vector<int64_t>{0, 0, 127, -127}));
  const Tensor back = dequantize_weights(codes, q);
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(back.data<float>()[i], w.data<float>()[i], q.scale[i / 2] / 2);
  const Quantization one{.scale = {0.25F}, .zero_point = {0}, .axis = -1};
  EXPECT_EQ(to_ints(quantize_weights(Tensor::of<float>({4}, {0.125F, 0.375F, -100, 100}), one)),
            (std::vector<int64_t>{0, 2, -127, 127}));  // ties to even, never -128
}

TEST(BiasCorrection, TakesBackTheMeanShift) {
  // Grouped convolution: 4 results, 2 groups of 3 inputs, kernel of 2.
  const Tensor w = random_weights({4, 3, 1, 2}, 5);
  const Tensor rounded = dequantize_weights(quantize_weights(w, weight_scales(w, 0)), weight_scales(w, 0));
  const std::vector<float> mean = {1, 2, 3, -4, 5, 6};
  const auto correction = bias_correction(w, rounded, 0, 2, mean);
  for (size_t o = 0; o < 4; ++o) {
    double shift = 0;
    for (size_t i = 0; i < 3; ++i)
      for (size_t k = 0; k < 2; ++k) {
        const size_t at = (o * 3 + i) * 2 + k;
        shift += (static_cast<double>(rounded.data<float>()[at]) - w.data<float>()[at]) * mean[o / 2 * 3 + i];
      }
    EXPECT_NEAR(correction.at(o), -shift, 1e-6);
  }
  // A matrix [in, out].
  const Tensor m = Tensor::of<float>({2, 2}, {1, 2, 3, 4}), n = Tensor::of<float>({2, 2}, {1.5F, 2, 3, 3});
  EXPECT_EQ(bias_correction(m, n, 1, 1, {10, 1}), (std::vector<float>{-5, 1}));
}

TEST(FitBias, RaisesOnlyWhatDoesNotFit) {
  const Tensor bias = Tensor::of<float>({4}, {1, -1000, 0, 1e6F});
  Quantization q{.scale = {1e-6F, 1e-6F, 1e-6F, 1e-6F}, .zero_point = {0, 0, 0, 0}, .axis = 0};
  constexpr float kInput = 1e-3F;
  EXPECT_EQ(fit_bias(bias, kInput, q), 2);
  EXPECT_EQ(q.scale[0], 1e-6F);
  EXPECT_EQ(q.scale[2], 1e-6F);
  for (size_t c = 0; c < 4; ++c)
    EXPECT_LE(std::fabs(static_cast<double>(bias.data<float>()[c]) / kInput / q.scale[c]), 1 << 30);
  EXPECT_EQ(fit_bias(bias, kInput, q), 0);
  const auto codes = to_ints(quantize_bias(bias, kInput, q));
  for (size_t c = 0; c < 4; ++c) {
    const double step = static_cast<double>(kInput) * q.scale[c];
    EXPECT_NEAR(static_cast<double>(codes[c]) * step, bias.data<float>()[c],
                step / 2 + 1e-7 * std::fabs(bias.data<float>()[c]));
  }
}

}  // namespace
}  // namespace narrow::quant
