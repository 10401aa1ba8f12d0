#include "quant/groups.h"

#include <gtest/gtest.h>

#include <cmath>

#include "quant/test_weights.h"

namespace narrow::quant {
namespace {

struct Case {
  Shape shape;
  int64_t axis;
  GroupOptions options;
};

int64_t group_of(const Case& c, int64_t i) { return group_index(c.shape, c.axis, c.options.group_size, i); }

/// Squared error per group of plain min-max rounding with an FP32 scale.
std::vector<double> minmax_errors(const Case& c, const Tensor& w, int64_t groups) {
  std::vector<float> low(static_cast<size_t>(groups), 0), high(low);
  const auto x = w.data<float>();
  for (int64_t i = 0; i < w.elements(); ++i) {
    const auto g = static_cast<size_t>(group_of(c, i));
    low[g] = std::min(low[g], x[static_cast<size_t>(i)]);
    high[g] = std::max(high[g], x[static_cast<size_t>(i)]);
  }
  const double levels = (1 << c.options.bits) - 1;
  std::vector<double> error(static_cast<size_t>(groups), 0);
  for (int64_t i = 0; i < w.elements(); ++i) {
    const auto g = static_cast<size_t>(group_of(c, i));
    const double scale = (static_cast<double>(high[g]) - static_cast<double>(low[g])) / levels,
                 zero = std::nearbyint(-static_cast<double>(low[g]) / scale), v = x[static_cast<size_t>(i)];
    const double code = std::clamp(std::nearbyint(v / scale) + zero, 0.0, levels);
    error[g] += std::pow((code - zero) * scale - v, 2);
  }
  return error;
}

class Groups : public testing::TestWithParam<Case> {};

TEST_P(Groups, CodesFitTheBitsAndParametersTheGroups) {
  const Case& c = GetParam();
  const GroupedWeights q = quantize_groups(random_weights(c.shape, 3), c.axis, c.options);
  Shape groups = c.shape;
  auto& extent = groups[static_cast<size_t>(c.axis)];
  extent = (extent + c.options.group_size - 1) / c.options.group_size;
  EXPECT_EQ(q.codes.shape(), c.shape);
  EXPECT_EQ(q.scale.shape(), groups);
  EXPECT_EQ(q.zero_point.defined(), !c.options.symmetric);
  const int64_t half = int64_t{1} << (c.options.bits - 1), low = c.options.symmetric ? -half : 0;
  for (const int64_t code : to_ints(q.codes)) EXPECT_TRUE(code >= low && code < low + 2 * half) << code;
  for (const float s : to_floats(q.scale)) EXPECT_TRUE(s > 0 && std::isfinite(s));
  if (q.zero_point.defined()) {
    EXPECT_EQ(q.zero_point.shape(), groups);
    for (const int64_t z : to_ints(q.zero_point)) EXPECT_TRUE(z >= 0 && z < 2 * half) << z;
  }
}

TEST_P(Groups, EveryCodeIsTheNearestOne) {
  const Case& c = GetParam();
  const Tensor w = random_weights(c.shape, 4);
  const GroupedWeights q = quantize_groups(w, c.axis, c.options);
  const auto codes = to_ints(q.codes);
  const auto scale = to_floats(q.scale), back = to_floats(dequantize_groups(q));
  const int64_t half = int64_t{1} << (c.options.bits - 1), low = c.options.symmetric ? -half : 0;
  for (int64_t i = 0; i < w.elements(); ++i) {
    const auto at = static_cast<size_t>(i), g = static_cast<size_t>(group_of(c, i));
    const double zero = q.zero_point.defined() ? static_cast<double>(to_ints(q.zero_point)[g]) : 0;
    const double x = w.data<float>()[at], s = scale[g];
    EXPECT_EQ(back[at], static_cast<float>(static_cast<double>(codes[at]) - zero) * scale[g]);
    // Not beyond either end: then within half a step; beyond: the end itself.
    if (codes[at] > low && codes[at] < low + 2 * half - 1) {
      EXPECT_LE(std::fabs(back[at] - x), s / 2 * (1 + 1e-6)) << i;
    }
  }
}

class AsymmetricGroups : public testing::TestWithParam<Case> {};

TEST_P(AsymmetricGroups, ErrNoMoreThanMinmax) {
  const Case& c = GetParam();
  const Tensor w = random_weights(c.shape, 5);
  const GroupedWeights q = quantize_groups(w, c.axis, c.options);
  const auto back = to_floats(dequantize_groups(q));
  std::vector<double> error(static_cast<size_t>(q.scale.elements()), 0);
  for (int64_t i = 0; i < w.elements(); ++i)
    error[static_cast<size_t>(group_of(c, i))] += std::pow(
        static_cast<double>(back[static_cast<size_t>(i)]) - w.data<float>()[static_cast<size_t>(i)], 2);
  const auto minmax = minmax_errors(c, w, q.scale.elements());
  double sum = 0, minmax_sum = 0;
  for (size_t g = 0; g < error.size(); ++g) {
    EXPECT_LE(error[g], minmax[g] * (1 + 1e-5) + 1e-12) << g;
    sum += error[g], minmax_sum += minmax[g];
  }
  EXPECT_LT(sum, 0.97 * minmax_sum);  // the search is worth its time
}

/// Numbers that plain min-max rounding has, too: FP32 scales, a zero point.
const std::vector<Case> kAsymmetric = {
    {{64, 12}, 0, {.bits = 4, .group_size = 16, .f32_scales = true}},
    {{12, 50}, 1, {.bits = 4, .group_size = 16, .f32_scales = true}},  // a short last group
    {{6, 40, 3, 3}, 1, {.bits = 3, .group_size = 32, .f32_scales = true}},
    {{64, 9}, 0, {.bits = 2, .group_size = 8, .f32_scales = true}}};
INSTANTIATE_TEST_SUITE_P(All, AsymmetricGroups, testing::ValuesIn(kAsymmetric));
INSTANTIATE_TEST_SUITE_P(Asymmetric, Groups, testing::ValuesIn(kAsymmetric));
INSTANTIATE_TEST_SUITE_P(
    Others, Groups,
    testing::Values(Case{{64, 9}, 0, {.bits = 4, .group_size = 32}},
                    Case{{64, 9}, 0, {.bits = 3, .group_size = 32, .symmetric = true}},
                    Case{{9, 64}, 1, {.bits = 4, .group_size = 64, .symmetric = true, .f32_scales = true}},
                    Case{{5, 7}, 0, {.bits = 2, .group_size = 1000}},
                    Case{{64, 9}, 0, {.bits = 8, .group_size = 32, .symmetric = true}}));

TEST(GroupsOf, ZerosStayZeros) {
  for (const bool symmetric : {false, true}) {
    const GroupedWeights q = quantize_groups(Tensor::zeros(DType::f32, {8, 3}), 0,
                                             {.bits = 4, .group_size = 4, .symmetric = symmetric});
    for (const float x : to_floats(dequantize_groups(q))) EXPECT_EQ(x, 0.0F);
  }
}

/// One scale of least squares for two codes: the mean magnitude.
TEST(GroupsOf, TwoCodesHaveTheMeanMagnitude) {
  const Tensor w = random_weights({64, 3}, 8);
  const GroupedWeights q = quantize_groups(
      w, 0, {.bits = 2, .group_size = 16, .symmetric = true, .f32_scales = true, .set = CodeSet::binary});
  const auto scale = to_floats(q.scale);
  for (int64_t g = 0; g < 4; ++g)
    for (int64_t c = 0; c < 3; ++c) {
      double sum = 0;
      for (int64_t k = 16 * g; k < 16 * (g + 1); ++k)
        sum += std::fabs(static_cast<double>(w.data<float>()[static_cast<size_t>(3 * k + c)]));
      EXPECT_NEAR(scale[static_cast<size_t>(3 * g + c)], sum / 16, 1e-6 * sum);
    }
  const auto codes = to_ints(q.codes);
  for (size_t i = 0; i < codes.size(); ++i) EXPECT_EQ(codes[i], w.data<float>()[i] >= 0 ? 1 : -1);
  EXPECT_EQ(q.bits_per_weight(), 1 + 32.0 / 16);
  const GroupedWeights nothing =
      quantize_groups(Tensor::zeros(DType::f32, {16, 1}), 0,
                      {.bits = 2, .group_size = 16, .symmetric = true, .set = CodeSet::binary});
  for (const float x : to_floats(dequantize_groups(nothing))) EXPECT_LE(std::fabs(x), 1e-4F);
}

/// Of all thresholds and their scales of least squares none is better.
TEST(GroupsOf, ThreeCodesAreTheBest) {
  const Tensor w = random_weights({40, 5}, 9);
  const GroupedWeights q = quantize_groups(
      w, 0, {.bits = 2, .group_size = 40, .symmetric = true, .f32_scales = true, .set = CodeSet::ternary});
  const auto back = to_floats(dequantize_groups(q));
  for (const int64_t code : to_ints(q.codes)) EXPECT_LE(std::abs(code), 1);
  for (int64_t c = 0; c < 5; ++c) {
    std::vector<double> magnitudes;
    double error = 0, all = 0;
    for (int64_t k = 0; k < 40; ++k) {
      const auto i = static_cast<size_t>(5 * k + c);
      magnitudes.push_back(std::fabs(static_cast<double>(w.data<float>()[i])));
      all += magnitudes.back() * magnitudes.back();
      error += std::pow(static_cast<double>(back[i]) - static_cast<double>(w.data<float>()[i]), 2);
    }
    std::sort(magnitudes.rbegin(), magnitudes.rend());
    double best = all, sum = 0;
    for (size_t n = 1; n <= magnitudes.size(); ++n) {
      sum += magnitudes[n - 1];  // the n largest are +-1: what is taken off is sum^2 / n
      best = std::min(best, all - sum * sum / static_cast<double>(n));
    }
    EXPECT_LE(error, best * (1 + 1e-5));
  }
  EXPECT_EQ(q.bits_per_weight(), (8 * 40 + 5 * 32.0) / 200);  // five in a byte
}

TEST(GroupsOf, ScalesBeyondFp16StayInFp32) {
  const Tensor w = Tensor::of<float>({4, 1}, {1e6F, -1e6F, 0, 5e5F});
  EXPECT_EQ(quantize_groups(w, 0, {}).scale.dtype(), DType::f32);
  EXPECT_EQ(quantize_groups(random_weights({4, 4}, 1), 0, {}).scale.dtype(), DType::f16);
}

TEST(GroupsOf, BitsPerWeightCountScalesAndZeroPoints) {
  const Tensor w = random_weights({64, 32}, 2);
  EXPECT_EQ(quantize_groups(w, 0, {.bits = 4, .group_size = 32}).bits_per_weight(), 4 + 20.0 / 32);
  EXPECT_EQ(quantize_groups(w, 0, {.bits = 3, .group_size = 16, .symmetric = true}).bits_per_weight(), 4);
  EXPECT_EQ(quantize_groups(w, 1, {.bits = 2, .group_size = 32, .f32_scales = true}).bits_per_weight(),
            2 + 34.0 / 32);
  EXPECT_EQ(quantize_per_channel(w, 1).bits_per_weight(), 8 + 32.0 / 64);
}

/// Against groups along the only axis of one channel after the other.
TEST(GroupsOf, WithoutAGroupSizeAChannelIsOneGroup) {
  for (const bool symmetric : {false, true}) {
    const Tensor w = random_weights({3, 20, 2, 2}, 7);
    const GroupedWeights q =
        quantize_groups(w, 0, {.bits = 3, .group_size = 0, .symmetric = symmetric, .f32_scales = symmetric});
    EXPECT_EQ(q.scale.shape(), Shape{3});
    EXPECT_EQ(q.bits_per_weight(), 3 + (symmetric ? 32 : 16 + 3) / 80.0);
    const auto back = to_floats(dequantize_groups(q));
    for (int64_t channel = 0; channel < 3; ++channel) {
      const auto all = w.data<float>().subspan(static_cast<size_t>(channel * 80), 80);
      const GroupedWeights alone =
          quantize_groups(Tensor::of(Shape{80}, std::vector<float>(all.begin(), all.end())), 0,
                          {.bits = 3, .group_size = 80, .symmetric = symmetric, .f32_scales = symmetric});
      const auto wanted = to_floats(dequantize_groups(alone));
      for (size_t i = 0; i < 80; ++i) EXPECT_EQ(back[static_cast<size_t>(channel * 80) + i], wanted[i]);
    }
  }
}

TEST(GroupsOf, PerChannelIsOneScalePerIndex) {
  const Tensor w = random_weights({3, 4, 2, 2}, 6);
  const GroupedWeights q = quantize_per_channel(w, 0);
  const auto back = to_floats(dequantize_groups(q)), scale = to_floats(q.scale);
  const auto codes = to_ints(q.codes);
  for (size_t i = 0; i < back.size(); ++i) EXPECT_EQ(back[i], static_cast<float>(codes[i]) * scale[i / 16]);
}

}  // namespace
}  // namespace narrow::quant
