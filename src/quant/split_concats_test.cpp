#include "quant/split_concats.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quant/plan_formats.h"
#include "runtime/test_graphs.h"

namespace narrow::quant {
namespace {

/// Boxes and scores of 64 places, joined; `reads`: what the last layer reads of them.
ir::Graph detector(const char* reads) {
  return testing_graphs::graph_from(fmt::format(R"(graph g(%x: f32[N,4,8,8]) {{
    @w1: f32[64,4,3,3] = blob 0 9216
    @wb: f32[4,64,1,1] = blob 16384 1024
    @ws: f32[4,64,1,1] = blob 20480 1024
    @wo: f32[2,{},1,1] = blob 24576 {}
    @from: s64[1] = [0]
    @to: s64[1] = [4]
    @axis: s64[1] = [1]
    %a = Conv(%x, @w1) {{pads=[1,1,1,1]}}
    %r = Relu(%a)
    %boxes = Conv(%r, @wb)
    %logits = Conv(%r, @ws)
    %scores = Sigmoid(%logits)
    %both = Concat(%boxes, %scores) {{axis=1}} "both"
    %part = Slice(%both, @from, @to, @axis)
    %y = Conv(%{}, @wo)
    return %y as "y", %both as "both"
  }})",
                                                std::string_view(reads) == "both" ? 8 : 4,
                                                std::string_view(reads) == "both" ? 64 : 32, reads));
}

std::vector<float> numbers(float low, float high, int count) {
  std::vector<float> values;
  for (int i = 0; i < count; ++i)
    values.push_back(low + (high - low) * static_cast<float>(i) / static_cast<float>(count - 1));
  return values;
}

calib::ValueProfile spread(float low, float high, int count) {
  calib::ValueProfile value;
  value.histogram.add(numbers(low, high, count));
  return value;
}

calib::Profile seen(float boxes, float scores, int features = 8192) {
  calib::Profile profile;
  profile.values = {{"x", spread(-1, 1, 256)},       {"r", spread(0, 4, features)},
                    {"a", spread(-4, 4, features)},  {"boxes", spread(0, boxes, 256)},
                    {"logits", spread(-4, 4, 256)},  {"scores", spread(0, scores, 256)},
                    {"part", spread(0, boxes, 256)}, {"y", spread(-9, 9, 128)}};
  profile.values["both"] = spread(0, boxes, 256);
  profile.values["both"].histogram.add(numbers(0, scores, 256));
  return profile;
}

std::set<std::string> split(const ir::Graph& graph, const calib::Profile& profile) {
  return split_concats(graph, profile, {.method = calib::Method::minmax}, {}).nodes;
}

TEST(SplitConcats, TakesOutWhatDrownsAnInput) {
  const ir::Graph graph = detector("part");
  const std::set<std::string> both = {"both"};
  EXPECT_EQ(split(graph, seen(300, 1)), both);
  EXPECT_EQ(split(graph, seen(1, 300)), both) << "the other way round";
  EXPECT_TRUE(split(graph, seen(300, 200)).empty()) << "of like magnitude";
  const Recipe recipe = *plan_int8(graph, seen(300, 1), {.ranges = {.method = calib::Method::minmax}});
  EXPECT_FALSE(recipe.activations.contains("both") || recipe.activations.contains("scores"));
  EXPECT_FALSE(recipe.nodes.contains("both"));
  EXPECT_EQ(recipe.nodes.at("boxes").format, NodeFormat::int8);
  EXPECT_NEAR(recipe.activations.at("part").scale[0], 300.0 / 255, 0.01);
  ASSERT_EQ(recipe.notes.size(), 1U);
  EXPECT_THAT(recipe.notes[0], testing::HasSubstr("'scores' spans 1 of 300, 0.85 of 256 levels"));
}

TEST(SplitConcats, LeavesWhatALayerReadsWhole) { EXPECT_TRUE(split(detector("both"), seen(300, 1)).empty()); }

TEST(SplitConcats, LeavesWhatWouldMoveMoreThanItIsWorth) {
  EXPECT_TRUE(split(detector("part"), seen(300, 1, 256)).empty());
}

TEST(SplitConcats, LeavesWhatIsInNoRegion) {
  EXPECT_TRUE(split_concats(detector("part"), seen(300, 1), {.method = calib::Method::minmax}, {"boxes"})
                  .nodes.empty());
}

}  // namespace
}  // namespace narrow::quant
