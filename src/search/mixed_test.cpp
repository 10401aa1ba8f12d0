#include "search/mixed.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ir/text.h"

namespace narrow::search {
namespace {

std::vector<Suspect> suspects(size_t n) {
  std::vector<Suspect> list;
  for (size_t i = 0; i < n; ++i)
    list.push_back({.key = "k" + std::to_string(i), .node = "n", .sqnr_db = static_cast<double>(i)});
  return list;
}

/// For every size and every count needed: the fewest are found, and in few trials.
TEST(Widen, FindsTheFewestInLogarithmicallyManyTrials) {
  for (size_t n = 1; n <= 20; ++n)
    for (size_t needed = 1; needed <= n; ++needed) {
      int calls = 0;
      const auto result =
          widen_until_it_holds(suspects(n), "bf16", [&](const quant::Wide& wide) -> Result<bool> {
            ++calls;
            for (size_t i = 0; i < wide.size(); ++i)
              EXPECT_TRUE(wide.contains("k" + std::to_string(i)));  // the guiltiest
            return wide.size() >= needed;
          });
      ASSERT_TRUE(result.ok());
      EXPECT_TRUE(result->holds);
      EXPECT_EQ(result->wide.size(), needed) << n;
      EXPECT_EQ(result->trials, calls);
      EXPECT_LE(calls, 2 * std::ceil(std::log2(static_cast<double>(n))) + 1) << n << " " << needed;
      EXPECT_NE(result->wide.begin()->second.find("bf16"), std::string::npos);
    }
}

TEST(Widen, WhenNothingHoldsAllAreWideAndErrorsPass) {
  const auto never =
      widen_until_it_holds(suspects(5), "fp32", [](const quant::Wide&) -> Result<bool> { return false; });
  EXPECT_FALSE(never->holds);
  EXPECT_EQ(never->wide.size(), 5U);
  EXPECT_EQ(never->trials, 4);  // 1 2 4 5
  const auto none = widen_until_it_holds({}, "fp32", [](const quant::Wide&) -> Result<bool> { return true; });
  EXPECT_FALSE(none->holds);
  EXPECT_EQ(none->trials, 0);
  const auto failed = widen_until_it_holds(suspects(3), "fp32", [](const quant::Wide&) -> Result<bool> {
    return Error{.code = Code::numerical, .subject = "trial"};
  });
  EXPECT_EQ(failed.error().code, Code::numerical);
}

TEST(RankSuspects, HeavyIntegerNodesWorstFirst) {
  const auto graph = ir::parse(R"(graph g(%x: f32[1,2]) {
  @w: f32[2,2] = [1,2,3,4]
  %a: f32[1,2] = MatMul(%x, @w) "first"
  %b: f32[1,2] = Relu(%a) "relu"
  %c: f32[1,2] = MatMul(%b, @w) "second"
  %d: f32[1,2] = MatMul(%c, @w) "wide"
  %e: f32[1,2] = MatMul(%d, @w) "unmeasured"
  return %e as "e"
}
)");
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  quant::Recipe recipe;
  for (const char* key : {"a", "b", "c", "e"}) recipe.nodes[key] = {quant::NodeFormat::int8, ""};
  recipe.nodes["d"] = {quant::NodeFormat::fp32, ""};
  std::vector<verify::LayerReport> layers(4);
  const std::pair<const char*, float> errors[] = {
      {"first", 0.1F}, {"second", 0.5F}, {"relu", 0.9F}, {"wide", 0.9F}};
  for (size_t i = 0; i < 4; ++i) {
    layers[i].node = errors[i].first;
    layers[i].computes = true;
    layers[i].isolated.distortion.add(std::vector<float>{1}, std::vector<float>{1 + errors[i].second});
  }
  const auto ranked = rank_suspects(*graph, recipe, layers);
  ASSERT_EQ(ranked.size(), 3U);
  EXPECT_EQ(ranked[0].key, "c");
  EXPECT_EQ(ranked[1].key, "a");
  EXPECT_NEAR(ranked[1].sqnr_db, 20, 1e-4);
  EXPECT_EQ(ranked[2].node, "unmeasured");
}

}  // namespace
}  // namespace narrow::search
