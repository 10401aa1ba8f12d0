#include "pipeline/findings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/text.h"

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
  recipe.activations["a"] = {};
  auto list = mixed_ranges(*graph, recipe, profile);
  ASSERT_EQ(list.size(), 1U);  // 1 of 17 leaves 15.06 of 256 levels
  EXPECT_THAT(list[0], testing::HasSubstr("'uneven' mixes ranges: 'a' spans 1 of 17, 15 of 256 levels"));
  EXPECT_THAT(list[0], testing::HasSubstr("stays in fp32"));
  recipe.nodes["y"] = {quant::NodeFormat::int8, ""};
  EXPECT_THAT(mixed_ranges(*graph, recipe, profile).at(0), testing::HasSubstr("runs in int8"));
  profile.values["b"] = spanning(0, 16);  // exactly 16 levels
  EXPECT_TRUE(mixed_ranges(*graph, recipe, profile).empty());
}

}  // namespace
}  // namespace narrow::pipeline
