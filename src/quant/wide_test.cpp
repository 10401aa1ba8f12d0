#include "quant/wide.h"

#include <gtest/gtest.h>

#include "ir/text.h"

namespace narrow::quant {
namespace {

ir::Graph graph() {
  auto graph = ir::parse(R"(graph g(%x: f32[1,2]) {
  @w: f32[2,2] = [1,2,3,4]
  %a: f32[1,2] = MatMul(%x, @w) "block/first"
  %b: f32[1,2] = Relu(%a) "k=bf16"
  %c: f32[1,2] = MatMul(%b, @w)
  return %c as "c"
}
)");
  EXPECT_TRUE(graph.ok());
  return std::move(*graph);
}

TEST(ParseWide, NamesOfNodesAndOfResultsWithAndWithoutAFormat) {
  const auto wide = parse_wide(graph(), {"block/first=bf16", "k=bf16", "c=fp16"});
  ASSERT_TRUE(wide.ok()) << wide.error().message();
  EXPECT_EQ(wide->size(), 3U);
  EXPECT_EQ(wide->at("a").format, NodeFormat::bf16);
  EXPECT_EQ(wide->at("b").format, NodeFormat::fp32);  // the whole text is a name
  EXPECT_EQ(wide->at("c").format, NodeFormat::fp16);
}

TEST(ParseWide, WhatIsPrintedIsReadBack) {
  for (const NodeFormat format :
       {NodeFormat::fp32, NodeFormat::fp16, NodeFormat::bf16, NodeFormat::int8_dynamic, NodeFormat::int4}) {
    const auto wide = parse_wide(graph(), {wide_text("block/first", format)});
    ASSERT_TRUE(wide.ok());
    EXPECT_EQ(wide->at("a").format, format);
  }
}

TEST(ParseWide, ErrorsNameTheNearestLayersAndTheFormats) {
  const auto unknown = parse_wide(graph(), {"block/frist"});
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, Code::usage);
  EXPECT_NE(unknown.error().message().find("nearest: 'block/first'"), std::string::npos)
      << unknown.error().message();
  const auto format = parse_wide(graph(), {"block/first=int8"});
  ASSERT_FALSE(format.ok());
  EXPECT_EQ(format.error().code, Code::usage);
  EXPECT_NE(format.error().message().find("fp32, fp16, bf16, int8-dynamic, int8-weights, int4"),
            std::string::npos);
}

TEST(PlanWithWide, EveryPrecisionComputesTheLayerAsAsked) {
  const ir::Graph g = graph();
  calib::Profile profile;
  for (const char* name : {"x", "a", "b", "c"})
    profile.values[name].histogram.add(std::vector<float>{-1, -0.5F, 0.25F, 1});
  for (const Precision precision :
       {Precision::int8, Precision::int8_dynamic, Precision::int4, Precision::fp16})
    for (const NodeFormat format :
         {NodeFormat::fp32, NodeFormat::bf16, NodeFormat::int8_dynamic, NodeFormat::int4}) {
      const auto wide = parse_wide(g, {wide_text("block/first", format)});
      const auto recipe = plan(g, &profile, precision, {.ranges = {}, .group_size = 2}, *wide);
      ASSERT_TRUE(recipe.ok()) << recipe.error().message();
      EXPECT_EQ(recipe->nodes.at("a").format, format) << to_string(precision);
      EXPECT_EQ(recipe->nodes.at("a").reason, "asked for with --wide");
      EXPECT_EQ(recipe->weights.contains("a"), format == NodeFormat::int8_dynamic);
      EXPECT_EQ(recipe->groups.contains("a"), format == NodeFormat::int4);
      EXPECT_NE(recipe->nodes.at("c").format, NodeFormat::fp32) << to_string(precision);
    }
}

}  // namespace
}  // namespace narrow::quant
