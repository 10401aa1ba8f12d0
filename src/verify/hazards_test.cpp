#include "verify/hazards.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/text.h"

namespace narrow::verify {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

LayerReport report(const char* value, const std::vector<float>& wanted, const std::vector<float>& actual) {
  LayerReport layer;
  layer.value = value;
  layer.accumulated.distortion.add(wanted, actual);
  return layer;
}

ir::Graph parsed(const std::string& text) {
  auto graph = ir::parse(text);
  EXPECT_TRUE(graph.ok()) << graph.error().message();
  return std::move(*graph);
}

/// Two weights of 127 and data of 255 are 64,770: the bias may reach 2^31 - 1 - 64,770.
TEST(Hazards, ABiasThatWithItsProductsPassesInt32) {
  for (const auto& [bias, passes] : {std::pair{2147418878, true}, {2147418877, false}}) {
    const ir::Graph graph = parsed(fmt::format(R"(graph g(%x: f32[1,2]) {{
  @w: s8[2,1] = [127,127]
  @b: s32[1] = [{}]
  @s: f32[] = [1]
  %wd: f32[2,1] = DequantizeLinear(@w, @s)
  %bd: f32[1] = DequantizeLinear(@b, @s)
  %y: f32[1,1] = Gemm(%x, %wd, %bd) "layer"
  return %y as "y"
}}
)",
                                               bias));
    const auto list = hazards(graph, {});
    ASSERT_EQ(list.size(), passes ? 1U : 0U) << bias;
    if (!passes) continue;
    EXPECT_THAT(list[0], HasSubstr("bias_overflow: Gemm 'layer': bias and products of 1 of 1"));
  }
}

constexpr const char* kStored = R"(graph g(%x: f32[1,2], %z: f32[1,2]) {
  @s: f32[] = [4e6]
  @p: u8[] = [250]
  @t: f32[] = [2.5]
  %m: f32[1,2] = Add(%x, %z) "masked"
  %q: u8[1,2] = QuantizeLinear(%m, @s, @p)
  %d: f32[1,2] = DequantizeLinear(%q, @s, @p)
  %c: f32[1,4] = Concat(%x, %z) {axis=1} "both"
  %k: u8[1,4] = QuantizeLinear(%c, @t)
  %e: f32[1,4] = DequantizeLinear(%k, @t)
  return %d as "d", %e as "e"
}
)";

TEST(Hazards, MasksAndConcatsUnderOneScale) {
  const ir::Graph graph = parsed(kStored);
  const std::vector<LayerReport> poisoned = {
      report("m", {1, -1e9F, 2, 3}, {0, -1e9F, 0, 0}), report("x", {300, 400}, {300, 400}),
      report("z", {0.5F, 1}, {0, 0}), report("c", {300, 400, 0.5F, 1}, {300, 400, 0, 0})};
  EXPECT_THAT(hazards(graph, poisoned),
              ElementsAre(HasSubstr("mask: 'm' (Add 'masked') is stored from -1e+09"),
                          HasSubstr("shared_concat: Concat 'both': 'z' has a root mean square of 0.791")));
  const std::vector<LayerReport> healthy = {report("m", {-5e8F, -1e9F}, {-5e8F, -1e9F}),
                                            report("x", {300, 400}, {300, 400}),
                                            report("z", {200, 100}, {200, 100})};
  EXPECT_THAT(hazards(graph, healthy), IsEmpty());
}

}  // namespace
}  // namespace narrow::verify
