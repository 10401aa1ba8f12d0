#include "runtime/interpreter.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ir/schema.h"

namespace narrow::runtime {
namespace {

/// x[n] -> indices of its elements other than 0, [1, how many]
ir::Graph places() {
  ir::Graph graph;
  ir::Value* x = graph.add_input("x", ir::TensorType::of(DType::f32, {4}));
  ir::Node* node = graph.add_node(ir::Op::NonZero, {x}, {"places"});
  graph.add_output("places", node->output());
  EXPECT_TRUE(ir::infer_types(graph).ok());
  return graph;
}

TEST(Interpreter, RunsGraphsWhoseShapesDependOnData) {
  auto session = Session::create(places(), std::make_shared<ThreadPool>(1));
  ASSERT_TRUE(session.ok());
  for (const std::vector<float>& x : {std::vector<float>{0, 1, 0, 2}, std::vector<float>{0, 0, 0, 0}}) {
    const auto outputs = session->run({{"x", Tensor::of({4}, x)}});
    ASSERT_TRUE(outputs.ok()) << outputs.error().message();
    const auto count =
        static_cast<int64_t>(std::count_if(x.begin(), x.end(), [](float v) { return v != 0; }));
    EXPECT_EQ(outputs->at("places").shape(), (Shape{1, count}));
  }
}

TEST(Interpreter, SaysSoInThePlan) {
  auto session = Session::create(places(), std::make_shared<ThreadPool>(1));
  ASSERT_TRUE(session.ok());
  const auto info = session->plan_info({{"x", {4}}});
  ASSERT_TRUE(info.ok()) << info.error().message();
  ASSERT_EQ(info->steps.size(), 1U);
  EXPECT_EQ(info->steps[0].kernel, "reference");
  EXPECT_EQ(info->steps[0].rejected.size(), 1U);
}

/// doubled = x + x; where doubled is not 0; x and doubled returned beside it
ir::Graph doubled_places() {
  ir::Graph graph;
  ir::Value* x = graph.add_input("x", ir::TensorType::of(DType::f32, {4}));
  ir::Value* doubled = graph.add_node(ir::Op::Add, {x, x}, {"doubled"})->output();
  ir::Value* places = graph.add_node(ir::Op::NonZero, {doubled}, {"places"})->output();
  graph.add_output("places", graph.add_node(ir::Op::Neg, {places}, {"negative"})->output());
  graph.add_output("x", x);
  graph.add_output("twice", doubled);
  EXPECT_TRUE(ir::infer_types(graph).ok());
  return graph;
}

TEST(Interpreter, RunsOnlyWhatFollowsTheFirstOpenShape) {
  auto session = Session::create(doubled_places(), std::make_shared<ThreadPool>(1));
  ASSERT_TRUE(session.ok());
  const auto info = session->plan_info({{"x", {4}}});
  ASSERT_TRUE(info.ok()) << info.error().message();
  ASSERT_EQ(info->steps.size(), 3U);
  EXPECT_EQ(info->steps[0].op, "Add");
  EXPECT_NE(info->steps[0].kernel, "reference");
  EXPECT_EQ(info->steps[1].kernel, "reference");
  TensorMap outputs;
  for (const std::vector<float>& x : {std::vector<float>{0, 1, 0, 2}, std::vector<float>{0, 0, 3, 0}}) {
    const auto result = session->run({{"x", Tensor::of({4}, x)}});
    ASSERT_TRUE(result.ok()) << result.error().message();
    outputs = *result;
    EXPECT_EQ(to_floats(outputs.at("x")), x);
    EXPECT_EQ(to_floats(outputs.at("twice"))[2], 2 * x[2]);
  }
  EXPECT_EQ(to_ints(outputs.at("places")), (std::vector<int64_t>{-2}));
  ASSERT_TRUE(session->run_into({{"x", Tensor::of<float>({4}, {5, 0, 0, 0})}}, outputs).ok());
  EXPECT_EQ(to_ints(outputs.at("places")), (std::vector<int64_t>{0}));
}

/// flag ? a + a : -a, with a captured from outside
ir::Graph branching() {
  const auto body = [](ir::Op op) {
    auto graph = std::make_shared<ir::Graph>();
    ir::Value* a = graph->add_input("a", ir::TensorType::unranked(DType::f32));
    const std::vector<ir::Value*> inputs =
        op == ir::Op::Add ? std::vector<ir::Value*>{a, a} : std::vector<ir::Value*>{a};
    graph->add_output("out", graph->add_node(op, inputs, {"out"})->output());
    EXPECT_TRUE(ir::infer_types(*graph).ok());
    return graph;
  };
  ir::Graph graph;
  ir::Value* flag = graph.add_input("flag", ir::TensorType::of(DType::boolean, {}));
  ir::Value* a = graph.add_input("a", ir::TensorType::of(DType::f32, {3}));
  ir::Node* node = graph.add_node(
      ir::Op::If, {flag, a}, {"y"},
      {{"then_branch", body(ir::Op::Add)}, {"else_branch", body(ir::Op::Neg)}, {"captures", int64_t{1}}});
  graph.add_output("y", node->output());
  EXPECT_TRUE(ir::infer_types(graph).ok());
  return graph;
}

TEST(Interpreter, TakesTheBranchThatTheConditionSays) {
  for (const bool plain : {false, true}) {
    SessionOptions options;
    options.reference_only = plain;
    auto session = Session::create(branching(), std::make_shared<ThreadPool>(1), options);
    ASSERT_TRUE(session.ok());
    const Tensor a = Tensor::of<float>({3}, {1, 2, 3});
    for (const bool flag : {true, false, true}) {
      const auto outputs = session->run({{"flag", Tensor::scalar(flag)}, {"a", a}});
      ASSERT_TRUE(outputs.ok()) << outputs.error().message();
      EXPECT_EQ(to_floats(outputs->at("y")),
                (flag ? std::vector<float>{2, 4, 6} : std::vector<float>{-1, -2, -3}));
    }
  }
}

TEST(Interpreter, RunIntoRefusesTensorsOfOtherShapes) {
  auto session = Session::create(places(), std::make_shared<ThreadPool>(1));
  ASSERT_TRUE(session.ok());
  const Tensor x = Tensor::of<float>({4}, std::vector<float>{0, 1, 0, 2});
  TensorMap fitting = {{"places", Tensor::zeros(DType::s64, {1, 2})}},
            other = {{"places", Tensor::zeros(DType::s64, {1, 3})}};
  ASSERT_TRUE(session->run_into({{"x", x}}, fitting).ok());
  EXPECT_EQ(to_ints(fitting.at("places")), (std::vector<int64_t>{1, 3}));
  EXPECT_FALSE(session->run_into({{"x", x}}, other).ok());
}

}  // namespace
}  // namespace narrow::runtime
