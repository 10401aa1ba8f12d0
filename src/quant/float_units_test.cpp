#include "quant/float_units.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quant/test_encoder.h"

namespace narrow::quant {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

std::vector<std::string> keys_of(const std::vector<FloatUnit>& units) {
  std::vector<std::string> keys;
  for (const FloatUnit& unit : units) keys.push_back(unit.key);
  return keys;
}

TEST(FloatUnits, NormsAndAttentionAsOneNode) {
  const auto units = float_units(testing_graphs::encoder(false), {{"input", {1, 6, 8}}});
  EXPECT_THAT(keys_of(units), ElementsAre("n", "o1", "m", "z"));
  for (const FloatUnit& unit : units) {
    EXPECT_THAT(unit.nodes, ElementsAre(unit.key));
    EXPECT_THAT(unit.able, ElementsAre(unit.key));
  }
}

/// What a short fraction would hurt (means, squares' sums, roots, exponentials) stays FP32 in half builds.
TEST(FloatUnits, InPrimitiveOpsTheyAreSeveralNodes) {
  const auto units = float_units(testing_graphs::encoder(true), {{"input", {1, 6, 8}}});
  EXPECT_THAT(keys_of(units), ElementsAre("n", "o1", "m", "z"));
  EXPECT_THAT(units[0].nodes, UnorderedElementsAre("n_mean", "n_centred", "n_square", "n_variance", "n_above",
                                                   "n_deviation", "n_normal", "n_scaled", "n"));
  EXPECT_THAT(units[0].able,
              UnorderedElementsAre("n_centred", "n_square", "n_above", "n_normal", "n_scaled", "n"));
  EXPECT_THAT(units[1].nodes, UnorderedElementsAre("o1_scores", "o1_scaled", "o1_shares", "o1"));
  EXPECT_THAT(units[1].able, UnorderedElementsAre("o1_scores", "o1_scaled", "o1"));
}

TEST(FloatUnits, RootMeanSquaresAndProductsOfComputedValues) {
  const ir::Graph graph = testing_graphs::graph_from(R"(graph g(%x: f32[4,8], %z: f32[8,8]) {
  @gamma: f32[8] = [1,1,2,1,1,1,1,1]
  @last: s64[1] = [-1]
  @epsilon: f32[] = [1e-05]
  @w: f32[8,8] = blob 0 256
  %square = Mul(%x, %x)
  %mean = ReduceMean(%square, @last) {keepdims=1}
  %above = Add(%mean, @epsilon)
  %root = Sqrt(%above)
  %normal = Div(%x, %root)
  %norm = Mul(%normal, @gamma)
  %a = MatMul(%norm, %z)
  %b = MatMul(%a, @w)
  %late = LayerNormalization(%b, @gamma) {axis=-1}
  return %late as "y"
}
)");
  const auto units = float_units(graph, {});
  EXPECT_THAT(keys_of(units), ElementsAre("norm", "a"));  // nothing heavy comes after the last norm
  EXPECT_THAT(units[0].able, UnorderedElementsAre("square", "above", "normal", "norm"));
}

/// How heads are split is computed from the sequence's length: known once that is. The mask is added in FP32.
TEST(FloatUnits, AttentionBehindComputedShapes) {
  const ir::Graph graph = testing_graphs::graph_from(R"(graph g(%x: f32[1,T,8]) {
  @w: f32[8,8] = blob 0 256
  @one: s64[1] = [1]
  @two: s64[1] = [2]
  @zero: s64[1] = [0]
  @rest: s64[2] = [2,4]
  @mask: f32[1] = [-1e9]
  %shape = Shape(%x)
  %length = Slice(%shape, @one, @two, @zero)
  %heads = Concat(@one, %length, @rest) {axis=0}
  %q1 = MatMul(%x, @w)
  %q2 = Reshape(%q1, %heads)
  %q3 = Transpose(%q2) {perm=[0,2,1,3]}
  %k3 = Transpose(%q2) {perm=[0,2,3,1]}
  %scores = MatMul(%q3, %k3)
  %masked = Add(%scores, @mask)
  %shares = Softmax(%masked) {axis=-1}
  %mixed = MatMul(%shares, %q3)
  %back = Transpose(%mixed) {perm=[0,2,1,3]}
  %flat = Reshape(%back, %shape)
  %o = MatMul(%flat, @w)
  return %o as "y"
}
)");
  const auto units = float_units(graph, {{"x", {1, 6, 8}}});
  ASSERT_THAT(keys_of(units), ElementsAre("mixed"));
  EXPECT_THAT(units[0].nodes, UnorderedElementsAre("scores", "masked", "shares", "mixed"));
  EXPECT_THAT(units[0].able, UnorderedElementsAre("scores", "mixed"));
  EXPECT_THAT(keys_of(float_units(graph, {})), ElementsAre("scores", "mixed"));
}

/// Attention in primitive ops is recognised once shapes are known; its products are units of their own else.
TEST(FloatUnits, WithoutShapesProductsStandAlone) {
  const auto units = float_units(testing_graphs::encoder(true), {});
  EXPECT_THAT(keys_of(units), ElementsAre("n", "o1_scores", "o1", "m", "z"));
}

}  // namespace
}  // namespace narrow::quant
