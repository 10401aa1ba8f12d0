#include "quant/code_steps.h"

#include <gtest/gtest.h>

#include <cmath>

#include "quant/test_weights.h"
#include "quant/weights.h"

namespace narrow::quant {
namespace {

struct Layer {
  Shape shape;
  int64_t channel_axis, axis, group_size;
};

const Layer kLayers[] = {
    {{6, 40}, 0, 1, 16},       // a matrix, transposed; the last group is short
    {{40, 6}, 1, 0, 16},       // a matrix
    {{5, 24, 3, 3}, 0, 1, 8},  // filters
};

/// Channels reach differently far, and so do their groups.
Tensor weights_of(const Layer& layer) { return random_weights(layer.shape, 11); }

int64_t group_of(const Layer& layer, int64_t i) {
  return group_index(layer.shape, layer.axis, layer.group_size, i);
}

TEST(LargestStep, KeepsEveryCodeInAByte) {
  for (int zero = 0; zero <= 15; ++zero) {
    const int step = largest_step(zero);
    EXPECT_LE(step * std::max(zero, 15 - zero), 127);
    EXPECT_TRUE(step == 15 || (step + 1) * std::max(zero, 15 - zero) > 127) << zero;
  }
}

TEST(FitStep, FindsNumbersThatAreSteps) {
  const std::vector<float> group = {-42, 0, 14, 49, -56, 7};  // 7 * (code - 8)
  const ScaleFit fit = fit_step(group);
  EXPECT_EQ(fit.scale, 7);
  for (const float x : group) {
    const float code = x / fit.scale + static_cast<float>(fit.zero_point);
    EXPECT_TRUE(code >= 0 && code <= 15) << x;
  }
}

/// Every step and zero point whose bytes fit, by plain loops.
TEST(FitStep, IsTheBestOfAll) {
  Random random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<float> group, importance;
    const double spread = random.uniform(1, 60), middle = random.uniform(-120, 120);
    for (int i = 0; i < 12; ++i) {
      group.push_back(static_cast<float>(random.normal() * spread + middle));
      importance.push_back(static_cast<float>(random.uniform(0.01, 2)));
    }
    const auto cost = [&](int step, int zero) {
      double sum = 0;
      for (size_t i = 0; i < group.size(); ++i) {
        double least = 1e30;
        for (int code = 0; code <= 15; ++code)
          least = std::min(least, std::pow(static_cast<double>(group[i]) - step * (code - zero), 2));
        sum += static_cast<double>(importance[i]) * least;
      }
      return sum;
    };
    double best = 1e30;
    for (int step = 1; step <= 15; ++step)
      for (int zero = 0; zero <= 15; ++zero)
        if (step * zero <= 127 && step * (15 - zero) <= 127) best = std::min(best, cost(step, zero));
    const ScaleFit fit = fit_step(group, importance);
    EXPECT_NEAR(cost(static_cast<int>(fit.scale), fit.zero_point), best, 1e-4 * best);
  }
}

class Steps : public testing::TestWithParam<Layer> {};

TEST_P(Steps, MakeBytesOfCodes) {
  const Layer& layer = GetParam();
  const Tensor weights = weights_of(layer);
  const Quantization channels = channel_scales(weights, layer.channel_axis);
  const SteppedWeights stepped = step_groups(weights, channels, layer.axis, layer.group_size);
  const auto bytes = stepped.bytes.data<int8_t>();
  const auto steps = to_ints(stepped.steps.step), zeros = to_ints(stepped.steps.zero_point);
  const auto w = weights.data<float>();
  for (int64_t i = 0; i < weights.elements(); ++i) {
    const auto g = static_cast<size_t>(group_of(layer, i));
    const int64_t byte = bytes[static_cast<size_t>(i)];
    ASSERT_EQ(byte % steps[g], 0);
    const int64_t code = byte / steps[g] + zeros[g];
    ASSERT_TRUE(code >= 0 && code <= 15) << code;
    // Inside what its codes reach a weight is at most half a step away.
    const auto channel =
        static_cast<size_t>(i / row_major_strides(layer.shape)[static_cast<size_t>(layer.channel_axis)] %
                            layer.shape[static_cast<size_t>(layer.channel_axis)]);
    const double x =
        static_cast<double>(w[static_cast<size_t>(i)]) / static_cast<double>(channels.scale[channel]);
    const auto step = static_cast<double>(steps[g]);
    const bool inside = code > 0 && code < 15;
    EXPECT_LE(inside ? std::abs(x - static_cast<double>(byte)) : 0.0, step / 2 * (1 + 1e-5));
  }
  const int64_t groups = stepped.steps.step.elements();
  EXPECT_EQ(stepped.steps.stored_bits(weights.elements()), 4 * weights.elements() + 8 * groups);
}

TEST_P(Steps, AreGroupsWithScalesAndBack) {
  const Layer& layer = GetParam();
  const Tensor weights = weights_of(layer);
  const Quantization channels = channel_scales(weights, layer.channel_axis);
  const SteppedWeights stepped = step_groups(weights, channels, layer.axis, layer.group_size);
  const GroupedWeights grouped = grouped_of(stepped.bytes, channels, stepped.steps);
  const Tensor same = dequantize_weights(stepped.bytes, channels), real = dequantize_groups(grouped);
  for (size_t i = 0; i < same.data<float>().size(); ++i)  // two roundings of the scale's product against one
    EXPECT_NEAR(real.data<float>()[i], same.data<float>()[i], 2e-7 * std::abs(same.data<float>()[i]));
  const SteppedWeights back = stepped_of(grouped, channels);
  EXPECT_TRUE(back.bytes.same_bits(stepped.bytes));
  EXPECT_TRUE(back.steps.step.same_bits(stepped.steps.step));
  EXPECT_TRUE(back.steps.zero_point.same_bits(stepped.steps.zero_point));
}

TEST_P(Steps, FollowTheirChannels) {
  const Layer& layer = GetParam();
  const Tensor weights = weights_of(layer);
  const Quantization channels = channel_scales(weights, layer.channel_axis);
  const SteppedWeights stepped = step_groups(weights, channels, layer.axis, layer.group_size);
  GroupedWeights grouped = grouped_of(stepped.bytes, channels, stepped.steps);
  for (float& scale : grouped.scale.mutable_data<float>()) scale *= 0.75F;
  const Quantization changed = rescaled_channels(grouped, channels, stepped.steps);
  for (size_t c = 0; c < channels.scale.size(); ++c)
    EXPECT_NEAR(changed.scale[c], 0.75F * channels.scale[c], 2e-7 * channels.scale[c]);
  EXPECT_TRUE(stepped_of(grouped, changed).bytes.same_bits(stepped.bytes));
}

/// A group of few large weights does not take the others' precision: the reason for groups.
TEST_P(Steps, ErrLessThanOneScaleAChannel) {
  const Layer& layer = GetParam();
  const Tensor weights = weights_of(layer);
  const auto error = [&](const Tensor& rounded) {
    double sum = 0;
    for (size_t i = 0; i < weights.data<float>().size(); ++i)
      sum += std::pow(
          static_cast<double>(weights.data<float>()[i]) - static_cast<double>(rounded.data<float>()[i]), 2);
    return sum;
  };
  const Quantization channels = channel_scales(weights, layer.channel_axis),
                     plain = weight_scales(weights, layer.channel_axis, 4);
  const SteppedWeights stepped = step_groups(weights, channels, layer.axis, layer.group_size);
  EXPECT_LT(error(dequantize_weights(stepped.bytes, channels)),
            error(dequantize_weights(quantize_weights(weights, plain, 4), plain)));
}

INSTANTIATE_TEST_SUITE_P(Shapes, Steps, testing::ValuesIn(kLayers));

}  // namespace
}  // namespace narrow::quant
