#include <gtest/gtest.h>

#include "ir/schema.h"
#include "ir/text.h"

namespace narrow::ir {
namespace {

Graph graph_of(const char* text) {
  auto graph = parse(text);
  EXPECT_TRUE(graph.ok()) << graph.error().message();
  return graph.ok() ? std::move(*graph) : Graph();
}

constexpr const char* kTwoInputs = R"(graph g(%x: f32[N,3,H,W], %m: bool[N,?]) {
  @w: f32[2,3,1,1] = [1,2,3,4,5,6]
  %c = Conv(%x, @w) {strides=[2,2]}
  %r: f32[N,annotated] = Relu(%c)
  %k = Not(%m)
  return %r as "r", %k as "k"
})";

TEST(InferGraph, KeepsSymbolsAndWhatAnnotationsKnow) {
  Graph g = graph_of(
      "graph (%x: f32[N,6], %s: s64[2]) { %a: f32[N,7] = Reshape(%x, %s) %b = Relu(%a) return %b as \"b\" }");
  ASSERT_TRUE(infer_types(g).ok());
  EXPECT_EQ(to_string(g.find_value("b")->type), "f32[N,7]");
  g.find_value("a")->type = TensorType::of(DType::s8, {1});  // contradicted: inference wins
  ASSERT_TRUE(infer_types(g).ok());
  EXPECT_EQ(to_string(g.find_value("a")->type), "f32[?,?]");
}

TEST(InferGraph, KeepsTheQuantizationOfEightBitOutputs) {
  Graph g = graph_of(R"(graph (%x: u8[4]<0.5,3>) {
    %a: u8[?]<0.25,1> = Relu(%x)
    %b = Reshape(%a, %a)
    return %b as "b" })");
  ASSERT_TRUE(infer_types(*g.nodes()[0]).ok());
  EXPECT_EQ(to_string(g.find_value("a")->type), "u8[4]<0.25,1>");
}

TEST(BindShapes, ReplacesSymbolsEverywhere) {
  Graph g = graph_of(kTwoInputs);
  ASSERT_TRUE(bind_shapes(g, {{"x", {5, 3, 8, 6}}}).ok());
  EXPECT_EQ(to_string(g.find_value("c")->type), "f32[5,2,4,3]");
  EXPECT_EQ(to_string(g.find_value("r")->type), "f32[5,2,4,3]");
  EXPECT_EQ(to_string(g.find_value("m")->type), "bool[5,?]");
  ASSERT_TRUE(bind_shapes(g, {{"m", {5, 9}}}).ok());
  EXPECT_EQ(to_string(g.find_value("k")->type), "bool[5,9]");
}

TEST(BindShapes, NamesTheInputThatDoesNotFit) {
  const auto message = [](const std::map<std::string, Shape>& shapes) {
    Graph g = graph_of(kTwoInputs);
    const Status status = bind_shapes(g, shapes);
    EXPECT_FALSE(status.ok());
    if (status.ok()) return std::string();
    EXPECT_EQ(status.error().code, Code::invalid_data);
    return status.error().message();
  };
  EXPECT_NE(message({{"x", {5, 4, 8, 6}}}).find("'x'"), std::string::npos);
  EXPECT_NE(message({{"x", {5, 3, 8}}}).find("'x'"), std::string::npos);
  EXPECT_NE(message({{"x", {-5, 3, 8, 8}}}).find("negative"), std::string::npos);
  EXPECT_NE(message({{"x", {1, 3, int64_t{1} << 40, int64_t{1} << 40}}}).find("63 bits"), std::string::npos);
  EXPECT_NE(message({{"z", {5}}}).find("'z'"), std::string::npos);
  EXPECT_NE(message({{"c", {5}}}).find("'c'"), std::string::npos);
  EXPECT_NE(message({{"x", {5, 3, 8, 8}}, {"m", {4, 1}}}).find("N is"), std::string::npos);
}

}  // namespace
}  // namespace narrow::ir
