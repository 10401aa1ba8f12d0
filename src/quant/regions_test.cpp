#include "quant/regions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quant/test_network.h"
#include "runtime/test_graphs.h"

namespace narrow::quant {
namespace {

using testing::UnorderedElementsAre;
using testing_graphs::graph_from;
using Names = std::set<std::string>;

Names nodes_of(const IntegerRegions& regions) {
  Names names;
  for (const ir::Node* node : regions.nodes) names.insert(key_of(*node));
  return names;
}
Names stored_of(const IntegerRegions& regions) {
  Names names;
  for (const ir::Value* value : regions.stored) names.insert(value->name);
  return names;
}
Names half_of(const ir::Graph& graph, const Names& wide = {}) {
  Names names;
  for (const ir::Node* node : half_region(graph, wide)) names.insert(key_of(*node));
  return names;
}

constexpr const char* kResidual = R"(graph g(%x: f32[1,4,6,6]) {
  @w1: f32[4,4,3,3] = blob 0 576
  @w2: f32[4,4,1,1] = blob 4096 64
  %c1 = Conv(%x, @w1) {pads=[1,1,1,1]}
  %r = Relu(%c1)
  %c2 = Conv(%r, @w1) {pads=[1,1,1,1]}
  %s = Add(%c2, %r)
  %t = Relu(%s)
  %p = MaxPool(%t) {kernel_shape=[2,2]}
  %c3 = Conv(%p, @w2)
  %y = Sigmoid(%c3)
  return %y as "y"
}
)";

TEST(IntegerRegions, ResidualAndActivationAreInsideTheConvolution) {
  const ir::Graph graph = graph_from(kResidual);
  const IntegerRegions all = integer_regions(graph, {});
  EXPECT_THAT(nodes_of(all), UnorderedElementsAre("c1", "r", "c2", "s", "t", "p", "c3"));
  EXPECT_THAT(stored_of(all), UnorderedElementsAre("x", "r", "t", "p"));
  // Without the middle convolution its sum is not made by integers; the last one still reads them.
  const IntegerRegions some = integer_regions(graph, {"c2"});
  EXPECT_THAT(nodes_of(some), UnorderedElementsAre("c1", "c3"));
  EXPECT_THAT(stored_of(some), UnorderedElementsAre("x", "p"));
  EXPECT_TRUE(integer_regions(graph, {"c1", "c2", "c3"}).stored.empty());
}

TEST(IntegerRegions, HeadsStayFloat) {
  const ir::Graph graph = graph_from(R"(graph g(%x: f32[1,4,6,6]) {
  @w: f32[4,4,1,1] = blob 4096 64
  %a = Conv(%x, @w)
  %b = Conv(%x, @w)
  %between = Concat(%a, %x) {axis=1}
  %w8 = Concat(%a, %b) {axis=1}
  @w2: f32[4,8,1,1] = blob 0 128
  %c = Conv(%between, @w2)
  %head = Concat(%c, %b) {axis=1}
  %y = Sigmoid(%head)
  return %y as "y", %w8 as "w8"
}
)");
  const IntegerRegions regions = integer_regions(graph, {});
  EXPECT_THAT(nodes_of(regions), UnorderedElementsAre("a", "b", "between", "c"));
  EXPECT_THAT(stored_of(regions), UnorderedElementsAre("x", "a", "between"));
}

TEST(IntegerRegions, TransformersKeepResidualNormAndAttentionFloat) {
  const ir::Graph graph = graph_from(testing_graphs::float_graphs()[3].text);
  const IntegerRegions regions = integer_regions(graph, {});
  EXPECT_THAT(nodes_of(regions), UnorderedElementsAre("q1", "k1", "v1", "o4", "h1", "h2", "h3", "h4"));
  EXPECT_THAT(stored_of(regions), UnorderedElementsAre("n", "o3", "m", "h3"));
}

TEST(IntegerRegions, OnlyWhatHasAnIntegerKernel) {
  const ir::Graph graph = graph_from(R"(graph g(%x: f32[1,4,6,6], %z: f32[1,4,6,6]) {
  @w: f32[4,4,1,1] = blob 4096 64
  @k: f32[] = [2]
  %a = Conv(%x, @w)
  %b = Mul(%a, @k)
  %c = Conv(%b, @w)
  %d = Exp(%c)
  %e = Conv(%d, @w)
  %f = GlobalAveragePool(%e)
  %g = HardSigmoid(%f)
  %h = Mul(%e, %g)
  %i = Conv(%h, @w)
  %j = Mul(%i, %z)
  %y = Conv(%j, @w)
  return %y as "y"
}
)");
  const IntegerRegions regions = integer_regions(graph, {});
  EXPECT_THAT(nodes_of(regions), UnorderedElementsAre("a", "c", "e", "f", "g", "h", "i", "y"));
  EXPECT_THAT(stored_of(regions), UnorderedElementsAre("x", "b", "d", "e", "f", "g", "h", "j"));
}

TEST(IntegerRegions, AReluBehindASumOrGateBoundsItsBytes) {
  const ir::Graph graph = graph_from(R"(graph g(%x: f32[1,4,6,6]) {
  @w: f32[4,4,1,1] = blob 4096 64
  %a = Conv(%x, @w)
  %p = GlobalAveragePool(%a)
  %g = Sigmoid(%p)
  %h = Mul(%a, %g)
  %s = Add(%h, %x)
  %r = Relu(%s)
  %t = Add(%r, %h)
  %u = Relu(%t)
  %v = Add(%u, %t)
  %l = Swish(%v) {alpha=1.0}
  %y = Conv(%l, @w)
  return %y as "y"
}
)");
  // %s has no other reader than its Relu; %t has, and %v is read by a function that integers do not end.
  EXPECT_THAT(stored_of(integer_regions(graph, {})),
              UnorderedElementsAre("x", "a", "p", "g", "h", "r", "t", "u", "v", "l"));
}

TEST(IntegerRegions, WhatFollowsFromShapesIsNoLayer) {
  const ir::Graph graph = graph_from(kCodeOfPositions);
  const IntegerRegions regions = integer_regions(graph, {});
  EXPECT_THAT(nodes_of(regions), UnorderedElementsAre("a", "y"));
  EXPECT_THAT(stored_of(regions), UnorderedElementsAre("x", "s"));
  EXPECT_FALSE(half_of(graph).contains("code"));
}

TEST(HalfRegion, FloatsUpToTheLastHeavyNode) {
  const ir::Graph block = graph_from(testing_graphs::float_graphs()[3].text);
  const Names half = half_of(block);
  for (const char* name : {"n", "q1", "q3", "o1", "o4", "o5", "r1", "m", "h1", "h2", "h3", "h4"})
    EXPECT_TRUE(half.contains(name)) << name;
  EXPECT_FALSE(half.contains("y"));
  EXPECT_FALSE(half_of(block, {"o1"}).contains("o1"));
  const Names residual = half_of(graph_from(kResidual));
  EXPECT_TRUE(residual.contains("p"));
  EXPECT_FALSE(residual.contains("y"));
}

TEST(Heavy, WhatCounts) {
  const ir::Graph graph = graph_from(R"(graph g(%x: f32[2,4], %v: f32[4,4]) {
  @w: f32[4,4] = blob 0 64
  %a = MatMul(%x, @w)
  %b = MatMul(%x, %v)
  %c = Gemm(%x, @w) {transB=1}
  %d = Gemm(%x, @w) {alpha=2.0}
  %e = MatMul(@w, %v)
  return %a as "a", %b as "b", %c as "c", %d as "d", %e as "e"
}
)");
  const auto node = [&](const char* name) -> const ir::Node& { return *graph.find_value(name)->producer(); };
  EXPECT_TRUE(is_heavy(node("a")));
  EXPECT_FALSE(is_heavy(node("b")));
  EXPECT_TRUE(is_heavy(node("c")));
  EXPECT_FALSE(is_heavy(node("d")));
  EXPECT_FALSE(is_heavy(node("e")));
  EXPECT_EQ(channel_axis(node("a")), 1);
  EXPECT_EQ(channel_axis(node("c")), 0);
  EXPECT_EQ(weights_of(node("a")), graph.find_value("w"));
  EXPECT_EQ(weights_of(node("b")), nullptr);
}

}  // namespace
}  // namespace narrow::quant
