// The runner's promises: switched-off passes do not run, unknown names are told, a pass that breaks the graph
// is caught.
#include <gtest/gtest.h>

#include "ir/schema.h"
#include "ir/text.h"
#include "passes/pass.h"

namespace narrow::passes {
namespace {

constexpr const char* kText = R"(
graph g(%x: f32[2]) {
  %a: f32[2] = Relu(%x)
  %b: f32[2] = Identity(%a)
  %y: f32[2] = Neg(%b)
  return %y as "y"
})";

Result<int64_t> mistype(ir::Graph& graph, const PassContext& context) {
  (void)context;
  graph.nodes().back()->output()->type.dtype = DType::boolean;
  graph.set_input(graph.nodes().back(), 0, nullptr);
  return int64_t{1};
}

TEST(RunPasses, SkipsWhatIsDisabled) {
  auto graph = ir::parse(kText);
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  const std::vector<std::string> disabled{"clean_up"};
  const auto records = run_passes(*graph, portable_passes(), {}, disabled);
  ASSERT_TRUE(records.ok()) << records.error().message();
  EXPECT_EQ(graph->nodes_of(ir::Op::Identity).size(), 1U);
  for (const PassRecord& record : *records) EXPECT_NE(record.name, "clean_up");
}

TEST(RunPasses, RecordsEveryPass) {
  auto graph = ir::parse(kText);
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  const auto records = run_passes(*graph, portable_passes(), {});
  ASSERT_TRUE(records.ok()) << records.error().message();
  EXPECT_EQ(records->size(), portable_passes().size());
  EXPECT_TRUE(graph->nodes_of(ir::Op::Identity).empty());
}

TEST(RunPasses, UnknownNameIsAnError) {
  auto graph = ir::parse(kText);
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  const std::vector<std::string> disabled{"fold_everything"};
  const auto records = run_passes(*graph, portable_passes(), {}, disabled);
  ASSERT_FALSE(records.ok());
  EXPECT_EQ(records.error().code, Code::invalid_argument);
  EXPECT_EQ(records.error().got, "fold_everything");
}

TEST(RunPasses, DefectNamesThePass) {
  auto graph = ir::parse(kText);
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  const Pass broken{"mistype", "breaks the graph", mistype};
  const auto records = run_passes(*graph, std::span(&broken, 1), {});
  ASSERT_FALSE(records.ok());
  EXPECT_EQ(records.error().code, Code::internal);
  EXPECT_EQ(records.error().subject, "pass mistype");
}

/// A shuffle behind groups is folded for weights of as many bytes as the engine says, and for no wider ones.
TEST(FoldShuffle, GroupsBecomeDenseUpToSomeBytes) {
  constexpr const char* kShuffle[] = {R"(
graph g(%x: u8[1,4,2,2]<0.5,3>) {
  @w: s8[4,2,1,1]<0;0.1,0.2,0.3,0.4;0,0,0,0> = [1, 2, 3, 4, 5, 6, 7, 8]
  @p: s64[4] = [0, 2, 1, 3]
  %c: u8[1,4,2,2]<2,1> = FusedConv(%x, @w) {group=2, out_dtype="u8"}
  %y: u8[1,4,2,2]<2,1> = Gather(%c, @p) {axis=1}
  return %y as "y"
})",
                                      R"(
graph g(%x: bf16[1,4,2,2]) {
  @w: bf16[4,2,1,1] = [1, 2, 3, 4, 5, 6, 7, 8]
  @p: s64[4] = [0, 2, 1, 3]
  %c: bf16[1,4,2,2] = FusedConv(%x, @w) {group=2, out_dtype="bf16"}
  %y: bf16[1,4,2,2] = Gather(%c, @p) {axis=1}
  return %y as "y"
})"};
  for (const int64_t weight_bytes : {1, 2})
    for (const int64_t dense : {0, 1, 2}) {
      auto graph = ir::parse(kShuffle[weight_bytes - 1]);
      ASSERT_TRUE(graph.ok()) << graph.error().message();
      PassContext context;
      context.dense_group_bytes = dense;
      const auto records = run_passes(*graph, std::span(find_pass("fold_shuffle"), 1), context);
      ASSERT_TRUE(records.ok()) << records.error().message();
      EXPECT_EQ(graph->nodes_of(ir::Op::Gather).empty(), weight_bytes <= dense)
          << weight_bytes << ' ' << dense;
    }
}

TEST(ChannelsLast, ValuesKeepTheirOrigin) {
  auto graph = ir::parse(R"(
graph g(%x: f32[1,2,3,4]) {
  @w: f32[2,2,1,1] = [1,2,3,4]
  %c: f32[1,2,3,4] = FusedConv(%x, @w) "conv" origin "onnx/c"
  %y: f32[1,2,3,4] = Relu(%c) "relu" origin "onnx/y"
  return %y as "y"
})");
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  const auto records = run_passes(*graph, std::span(find_pass("channels_last"), 1), {});
  ASSERT_TRUE(records.ok()) << records.error().message();
  const std::vector<int64_t> to_last{0, 2, 3, 1};
  for (const char* origin : {"onnx/c", "onnx/y"}) {
    int found = 0;
    for (const ir::Value* value : graph->values()) {
      if (value->origin != origin) continue;
      EXPECT_EQ(value->origin_perm, to_last) << origin;
      ++found;
    }
    EXPECT_EQ(found, 1) << origin;
  }
}

}  // namespace
}  // namespace narrow::passes
