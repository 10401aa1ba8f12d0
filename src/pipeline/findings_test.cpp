#include "pipeline/findings.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/text.h"
#include "quant/plan_formats.h"

namespace narrow::pipeline {
namespace {

calib::ValueProfile spanning(float low, float high) {
  calib::ValueProfile value;
  value.histogram.add(std::vector<float>{low, high});
  return value;
}

TEST(MixedRanges, NamesConcatsThatDrownAnInput) {
  const auto graph = ir::parse(R"(graph g(%a: f32[1,2], %b: f32[1,2], %c: f32[1,2]) {
  %y: f32[1,4] = Concat(%a, %b) {axis=1} "uneven"
  %z: f32[1,4] = Concat(%b, %c) {axis=1} "even"
  return %y as "y", %z as "z"
}
)");
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  calib::Profile profile;
  profile.values = {{"a", spanning(0, 1)}, {"b", spanning(0, 17)}, {"c", spanning(-5, 5)}};
  quant::Recipe recipe;
  EXPECT_TRUE(mixed_ranges(*graph, recipe, profile).empty());  // nothing is stored as integers
  recipe.activations["a"] = recipe.activations["z"] = {};
  EXPECT_TRUE(mixed_ranges(*graph, recipe, profile).empty());  // joined in fp32, each in its own scale
  recipe.activations["y"] = {};
  auto list = mixed_ranges(*graph, recipe, profile);
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0].kind, "shared_concat");
  EXPECT_EQ(list[0].node, "uneven");
  // 1 of 17 leaves 15.06 of 256 levels
  EXPECT_THAT(list[0].text, testing::HasSubstr("'uneven' mixes ranges: 'a' spans 1 of 17, 15 of 256 levels"));
  profile.values["b"] = spanning(0, 16);  // exactly 16 levels
  EXPECT_TRUE(mixed_ranges(*graph, recipe, profile).empty());
}

/// x spread over [low, high] beside a mask that `share` of the values hold.
calib::ValueProfile masked(float low, float high, float mask) {
  std::vector<float> values;
  for (int i = 0; i < 900; ++i) values.push_back(low + (high - low) * static_cast<float>(i) / 899);
  for (int i = 0; i < 100; ++i) values.push_back(mask);
  calib::ValueProfile value;
  value.histogram.add(values);
  return value;
}

constexpr const char* kMaskGraph = R"(graph g(%x: f32[1,2], %mask: f32[1,2]) {
  @w: f32[2,2] = [1,2,3,4]
  %a: f32[1,2] = MatMul(%x, @w) "first"
  %b: f32[1,2] = Add(%a, %mask) "masked"
  %c: f32[1,2] = MatMul(%b, @w) "second"
  return %c as "c"
}
)";

TEST(MaskedRanges, NamesTheNodeAndTheSourceOfTheMask) {
  const auto graph = ir::parse(kMaskGraph);
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  calib::Profile profile;
  profile.values = {{"x", spanning(-1, 1)},
                    {"a", spanning(-4, 4)},
                    {"mask", masked(0, 0, -1e9F)},
                    {"b", masked(-4, 4, -1e9F)}};
  quant::Recipe recipe;
  recipe.activations["b"] = {.scale = {1e9F / 255}, .zero_point = {255}, .axis = -1};
  const auto list = masked_ranges(*graph, recipe, profile);
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0].kind, "mask");
  EXPECT_EQ(list[0].node, "masked");
  EXPECT_THAT(list[0].text, testing::HasSubstr("input 'mask' reaches -1e+09"));
  EXPECT_THAT(list[0].text, testing::HasSubstr("100% of the other values become zero"));
  recipe.activations["b"].scale = {8.0F / 255};  // a range that cuts the mask off
  EXPECT_TRUE(masked_ranges(*graph, recipe, profile).empty());
}

TEST(HalfOverflows, TellsMasksFromValuesThatGrew) {
  const auto graph = ir::parse(kMaskGraph);
  calib::Profile profile;
  profile.values = {{"x", spanning(-1, 1)},
                    {"a", spanning(-4, 4)},
                    {"mask", masked(0, 0, -1e9F)},
                    {"b", masked(-4, 4, -1e9F)},
                    {"c", spanning(-4, 4)}};
  const auto mask =
      half_overflows(*graph, quant::plan_half(*graph, &profile, quant::NodeFormat::fp16), profile);
  ASSERT_FALSE(mask.empty());
  EXPECT_EQ(mask[0].kind, "mask");
  EXPECT_EQ(mask[0].node, "masked");
  profile.values["b"] = spanning(-4, 70000);
  profile.values["mask"] = spanning(0, 70000);
  const auto grown =
      half_overflows(*graph, quant::plan_half(*graph, &profile, quant::NodeFormat::fp16), profile);
  ASSERT_FALSE(grown.empty());
  EXPECT_EQ(grown[0].kind, "fp16_overflow");
  EXPECT_THAT(grown[0].text, testing::HasSubstr("reached 7e+04 on calibration data, FP16 ends at 65504"));
  profile.values["b"] = profile.values["mask"] = spanning(-4, 4);
  EXPECT_TRUE(
      half_overflows(*graph, quant::plan_half(*graph, &profile, quant::NodeFormat::fp16), profile).empty());
}

TEST(BiasOverflows, NamesLayersWhoseBiasRaisedTheirScale) {
  for (const auto& [bias, overflows] : {std::pair{"1e6", true}, {"1e-9", false}}) {
    const auto graph = ir::parse(fmt::format(R"(graph g(%x: f32[1,2]) {{
  @w: f32[2,2] = [1e-6,2e-6,3e-6,4e-6]
  @b: f32[2] = [{}, 0]
  %y: f32[1,2] = Gemm(%x, @w, @b) "layer"
  return %y as "y"
}}
)",
                                             bias));
    ASSERT_TRUE(graph.ok()) << graph.error().message();
    calib::Profile profile;
    profile.values = {{"x", spanning(-1e-3F, 1e-3F)}, {"y", spanning(-1, 1)}};
    const auto recipe = quant::plan_int8(*graph, profile, {});
    ASSERT_TRUE(recipe.ok());
    const auto list = bias_overflows(*graph, *recipe);
    // A step is 2e-3 / 255 * 3e-6 / 127 = 1.9e-13: 2^30 of them are 2e-4.
    ASSERT_EQ(list.size(), overflows ? 1U : 0U) << bias;
    if (!overflows) continue;
    EXPECT_EQ(list[0].kind, "bias_overflow");
    EXPECT_EQ(list[0].node, "layer");
    EXPECT_THAT(list[0].text, testing::HasSubstr("1 of 2 channels"));
  }
}

}  // namespace
}  // namespace narrow::pipeline
