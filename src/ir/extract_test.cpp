#include "ir/extract.h"

#include <gtest/gtest.h>

#include "ir/schema.h"
#include "ir/text.h"

namespace narrow::ir {
namespace {

Graph chain() {
  auto graph = parse(R"(graph g(%x: f32[2]) {
    @two: f32[] = [2]
    %a = Relu(%x)
    %b = Mul(%a, @two)
    %c = Add(%a, %b)
    %d = Exp(%c)
    return %d as "y"
  })",
                     {}, nullptr);
  EXPECT_TRUE(graph.ok()) << (graph.ok() ? "" : graph.error().message());
  EXPECT_TRUE(infer_types(*graph).ok());
  return std::move(graph).value();
}

TEST(Extract, KeepsWhatLiesBetween) {
  const Graph graph = chain();
  const Graph part = extract(graph, {graph.find_value("a")}, {graph.find_value("c")});
  ASSERT_TRUE(verify(part).ok());
  ASSERT_EQ(part.inputs().size(), 1U);
  EXPECT_EQ(part.inputs()[0]->name, "a");
  EXPECT_EQ(part.inputs()[0]->type, graph.find_value("a")->type);
  ASSERT_EQ(part.outputs().size(), 1U);
  EXPECT_EQ(part.outputs()[0].name, "c");
  ASSERT_EQ(part.nodes().size(), 2U);
  EXPECT_EQ(part.nodes()[0]->op(), Op::Mul);
  EXPECT_EQ(part.nodes()[1]->op(), Op::Add);
  EXPECT_EQ(part.find_value("b")->origin, "b");
  EXPECT_EQ(part.find_value("two")->constant().raw(), graph.find_value("two")->constant().raw());
}

TEST(Extract, LeavesTheGraphAsItWas) {
  const Graph graph = chain();
  const std::string before = print(graph);
  extract(graph, {graph.find_value("a")}, {graph.find_value("b"), graph.find_value("d")});
  EXPECT_EQ(print(graph), before);
}

}  // namespace
}  // namespace narrow::ir
