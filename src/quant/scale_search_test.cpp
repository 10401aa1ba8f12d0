// Scales by the output's error against the same search in plain loops over the plain backend.
#include "quant/scale_search.h"

#include <gtest/gtest.h>

#include "quant/test_blocks.h"

namespace narrow::quant {
namespace {

using namespace testing_blocks;

constexpr const char* kConv = R"(graph g(%x: f32[N,6,5,5]) {
  @w: f32[4,6,3,3] = blob 0 864
  @b: f32[4] = [0.1,-0.2,0.3,0]
  %c = Conv(%x, @w, @b) {pads=[1,1,1,1]}
  %y = Relu(%c)
  return %y as "y"
})";
constexpr const char* kProduct = R"(graph g(%x: f32[N,12]) {
  @w: f32[12,5] = blob 0 240
  %y = MatMul(%x, @w)
  return %y as "y"
})";

GroupedWeights scaled(GroupedWeights w, float factor, std::span<const float> weights) {
  std::vector<float> scale = to_floats(w.scale);
  for (float& s : scale) s *= factor;
  w.scale = Tensor::of(w.scale.shape(), scale);
  w.codes = nearest_codes(w, weights);
  return w;
}

/// Squared errors by channel of axis 1.
std::vector<double> errors_by_channel(const Trial& t, const GroupedWeights& w) {
  const auto got = outputs_of(with_codes(t.graph, {{t.task.layers[0].node, w}}), t.task.inputs);
  const Tensor &a = got->at("y"), &b = t.task.outputs.at("y");
  int64_t inner = 1;
  for (int64_t axis = 2; axis < b.rank(); ++axis) inner *= b.dim(axis);
  std::vector<double> sums(static_cast<size_t>(b.dim(1)), 0.0);
  for (size_t i = 0; i < static_cast<size_t>(b.elements()); ++i)
    sums[i / static_cast<size_t>(inner) % sums.size()] +=
        std::pow(static_cast<double>(a.data<float>()[i]) - static_cast<double>(b.data<float>()[i]), 2);
  return sums;
}

void expect_best_factors(const Trial& t, size_t channels) {
  const ScaleSearchOptions options{.least = 0.6, .most = 1.1, .candidates = 6, .batch = 7};
  const auto found = search_scales(t.task, options, std::make_shared<ThreadPool>(2));
  ASSERT_TRUE(found.ok()) << found.error().message();
  const GroupedWeights& start = t.task.layers[0].start;
  const auto weights = weights_in(t.graph, t.task.layers[0].node).data<float>();
  std::vector<double> least(channels, 1e30);
  for (const double factor : {1.0, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1}) {
    const auto errors = errors_by_channel(t, scaled(start, static_cast<float>(factor), weights));
    for (size_t c = 0; c < channels; ++c) least[c] = std::min(least[c], errors[c]);
  }
  const auto now = errors_by_channel(t, found->layer.start), before = errors_by_channel(t, start);
  double total = 0, first = 0;
  for (size_t c = 0; c < channels; ++c) {
    // Factors are rounded differently here and there, and FP32 outputs differ in their last bits.
    EXPECT_NEAR(now[c], least[c], 1e-3 * least[c]) << c;
    total += now[c], first += before[c];
  }
  const auto elements = static_cast<double>(t.task.outputs.at("y").elements());
  EXPECT_NEAR(found->loss.after, total / elements, 1e-4 * total / elements);
  EXPECT_NEAR(found->loss.before, first / elements, 1e-4 * first / elements);
  EXPECT_LT(found->loss.after, 0.95 * found->loss.before);
  EXPECT_GT(found->changed, 0);
}

TEST(SearchScales, FindsTheBestFactorOfEveryChannelOfAConvolution) {
  expect_best_factors(Trial(kConv, {{"x", correlated({20, 6, 5, 5}, 1, 1)}}, 20, {"c"}, 3), 4);
}

TEST(SearchScales, FindsTheBestFactorOfEveryColumnOfAMatrix) {
  expect_best_factors(Trial(kProduct, {{"x", correlated({60, 12}, 1, 2)}}, 60, {"y"}, 3), 5);
}

/// Groups of a channel shrink together; zero points stay.
TEST(SearchScales, GroupsKeepTheirProportions) {
  Trial t(kProduct, {{"x", correlated({60, 12}, 1, 3)}}, 60, {"y"}, 3);
  t.task.layers[0].start =
      quantize_groups(weights_in(t.graph, "y"), 0, {.bits = 2, .group_size = 4, .f32_scales = true});
  expect_best_factors(t, 5);
  const auto found = search_scales(t.task, {}, std::make_shared<ThreadPool>(1));
  ASSERT_TRUE(found.ok());
  const GroupedWeights &start = t.task.layers[0].start, &now = found->layer.start;
  EXPECT_TRUE(now.zero_point.same_bits(start.zero_point));
  const auto a = now.scale.data<float>(), b = start.scale.data<float>();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i] / b[i], a[i % 5] / b[i % 5], 1e-6F) << i;
}

TEST(SearchScales, WantsOneProduct) {
  Trial t(kConv, {{"x", correlated({4, 6, 5, 5}, 1, 4)}}, 4, {"c"}, 3);
  t.task.layers[0].node = "y";
  const auto found = search_scales(t.task, {}, std::make_shared<ThreadPool>(1));
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code, Code::invalid_argument);
  EXPECT_EQ(found.error().subject, "'y'");
}

}  // namespace
}  // namespace narrow::quant
