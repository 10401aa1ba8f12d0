#include "search/suspects.h"

#include <gtest/gtest.h>

#include "ir/text.h"

namespace narrow::search {
namespace {

TEST(RankSuspects, NarrowNodesWorstFirst) {
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
  const auto ranked = rank_suspects(*graph, recipe, layers, Which::heavy);
  ASSERT_EQ(ranked.size(), 3U);
  EXPECT_EQ(ranked[0].key, "c");
  EXPECT_EQ(ranked[1].key, "a");
  EXPECT_NEAR(ranked[1].sqnr_db, 20, 1e-4);
  EXPECT_EQ(ranked[2].node, "unmeasured");
  const auto all = rank_suspects(*graph, recipe, layers, Which::all);
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0].node, "relu");
}

}  // namespace
}  // namespace narrow::search
