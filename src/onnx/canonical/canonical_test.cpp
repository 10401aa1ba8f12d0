// Each old form of an operator, imported, is the new form of ir/ops.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "onnx/test_model.h"

namespace narrow::onnx {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

ir::Graph imported(const TestModel& model) {
  Result<ImportedModel> result = model.import();
  EXPECT_TRUE(result.ok()) << result.error().message();
  return result.ok() ? std::move(result->graph) : ir::Graph();
}

/// The only node of that op; null, and a failure, when there is another number of them.
const ir::Node* only(const ir::Graph& graph, ir::Op op) {
  const auto nodes = graph.nodes_of(op);
  EXPECT_EQ(nodes.size(), 1U) << ir::to_string(op);
  return nodes.size() == 1 ? nodes[0] : nullptr;
}

std::vector<int64_t> ints(const ir::Node* node, int input) {
  if (node == nullptr || node->input(input) == nullptr || !node->input(input)->is_constant()) return {-999};
  return to_ints(node->input(input)->constant());
}

TEST(Canonical, AxesBecomeAnInput) {
  for (const char* op : {"Squeeze", "ReduceMean", "ReduceSum", "ReduceL2"}) {
    SCOPED_TRACE(op);
    TestModel model(11);
    model.input("x", {2, 1, 3}).output("y");
    set_ints(model.node(op, {"x"}, {"y"}), "axes", {1});
    const ir::Graph graph = imported(model);
    const ir::Node* node = only(graph, *ir::parse_op(op));
    EXPECT_THAT(ints(node, 1), ElementsAre(1));
    EXPECT_FALSE(node->has("axes"));
  }
}

TEST(Canonical, ClipBoundsBecomeInputsOfTheSameType) {
  TestModel model(9);
  model.input("x", {2}, pb::TensorProto::DOUBLE).output("y");
  set_float(model.node("Clip", {"x"}, {"y"}), "max", 6);
  const ir::Graph graph = imported(model);
  const ir::Node* clip = only(graph, ir::Op::Clip);
  EXPECT_EQ(clip->input(1), nullptr);
  EXPECT_EQ(clip->input(2)->constant().data<double>()[0], 6.0);
}

TEST(Canonical, SliceNineAndPadTenAndTopKNine) {
  TestModel model(9);
  model.input("x", {4, 5}).output("p").output("k");
  pb::NodeProto& slice = model.node("Slice", {"x"}, {"s"});
  set_ints(slice, "starts", {1});
  set_ints(slice, "ends", {-1});
  set_ints(slice, "axes", {1});
  pb::NodeProto& pad = model.node("Pad", {"s"}, {"p"});
  set_ints(pad, "pads", {0, 1, 0, 1});
  set_float(pad, "value", 2);
  set_int(model.node("TopK", {"p"}, {"k", "i"}), "k", 3);
  const ir::Graph graph = imported(model);
  const ir::Node* s = only(graph, ir::Op::Slice);
  EXPECT_THAT(ints(s, 1), ElementsAre(1));
  EXPECT_THAT(ints(s, 2), ElementsAre(-1));
  EXPECT_THAT(ints(s, 3), ElementsAre(1));
  EXPECT_THAT(ints(only(graph, ir::Op::Pad), 1), ElementsAre(0, 1, 0, 1));
  EXPECT_EQ(only(graph, ir::Op::Pad)->input(2)->constant().data<float>()[0], 2.0F);
  EXPECT_THAT(ints(only(graph, ir::Op::TopK), 1), ElementsAre(3));
  EXPECT_EQ(to_string(graph.outputs()[1].value->type), "f32[4,3]");
}

TEST(Canonical, SplitSizesOrNumberOfOutputs) {
  TestModel sized(11), even(13);
  sized.input("x", {5}).output("a").output("b");
  set_ints(sized.node("Split", {"x"}, {"a", "b"}), "split", {2, 3});
  even.input("x", {6}).output("a");
  even.node("Split", {"x"}, {"a", ""});
  const ir::Graph with_sizes = imported(sized), without = imported(even);
  EXPECT_THAT(ints(only(with_sizes, ir::Op::Split), 1), ElementsAre(2, 3));
  EXPECT_EQ(only(without, ir::Op::Split)->int_attr("num_outputs", 0), 2);
  EXPECT_EQ(to_string(without.outputs()[0].value->type), "f32[3]");
}

void expect_asymmetric(const ir::Graph& graph) {
  const ir::Node* resize = only(graph, ir::Op::Resize);
  ASSERT_NE(resize, nullptr);
  EXPECT_EQ(resize->input(1), nullptr);
  EXPECT_THAT(to_floats(resize->input(2)->constant()), ElementsAre(1, 1, 2, 2));
  EXPECT_EQ(resize->string_attr("coordinate_transformation_mode", ""), "asymmetric");
  EXPECT_EQ(resize->string_attr("nearest_mode", ""), "floor");
  EXPECT_EQ(to_string(graph.outputs()[0].value->type), "f32[1,2,6,8]");
}

TEST(Canonical, UpsampleAndOldResize) {
  TestModel seven(7), nine(9), ten(10);
  seven.input("x", {1, 2, 3, 4}).output("y");
  set_floats(seven.node("Upsample", {"x"}, {"y"}), "scales", {1, 1, 2, 2});
  expect_asymmetric(imported(seven));
  nine.input("x", {1, 2, 3, 4})
      .output("y")
      .floats("s", {4}, {1, 1, 2, 2})
      .node("Upsample", {"x", "s"}, {"y"});
  expect_asymmetric(imported(nine));
  ten.input("x", {1, 2, 3, 4}).output("y").floats("s", {4}, {1, 1, 2, 2}).node("Resize", {"x", "s"}, {"y"});
  expect_asymmetric(imported(ten));
}

TEST(Canonical, OldNearestRoundsUpWhenItShrinks) {
  const auto mode_of = [](const std::vector<float>& scales) {
    TestModel model(10);
    model.input("x", {1, 1, 8, 8}).output("y").floats("s", {4}, scales).node("Resize", {"x", "s"}, {"y"});
    const auto result = model.import();
    return result.ok() ? result->graph.nodes().at(0)->string_attr("nearest_mode", "")
                       : result.error().message();
  };
  EXPECT_EQ(mode_of({1, 1, 0.6F, 0.5F}), "ceil");
  EXPECT_EQ(mode_of({1, 1, 0.5F, 2}), "floor");
  EXPECT_THAT(mode_of({1, 1, 0.6F, 2}), HasSubstr("Resize 'y'"));
}

TEST(Canonical, ResizeElevenWithEmptyTensors) {
  TestModel model(11);
  model.input("x", {1, 1, 2, 2}).output("y").floats("none", {0}, {}).ints("sizes", {4}, {1, 1, 4, 4});
  model.node("Resize", {"x", "none", "none", "sizes"}, {"y"});
  const ir::Graph graph = imported(model);
  const ir::Node* resize = only(graph, ir::Op::Resize);
  EXPECT_EQ(resize->input(1), nullptr);
  EXPECT_EQ(resize->input(2), nullptr);
  EXPECT_THAT(ints(resize, 3), ElementsAre(1, 1, 4, 4));
}

TEST(Canonical, SoftmaxElevenAlongTheLastAxisStaysOneNode) {
  TestModel model(11);
  model.input("x", {2, 3}).output("y").node("Softmax", {"x"}, {"y"});
  const ir::Graph graph = imported(model);
  EXPECT_EQ(graph.nodes().size(), 1U);
  EXPECT_EQ(only(graph, ir::Op::Softmax)->int_attr("axis", 9), -1);
}

TEST(Canonical, SoftmaxElevenElsewhereFlattens) {
  TestModel model(11);
  model.input("x", {2, 3, 4}).output("y").node("Softmax", {"x"}, {"y"});
  const ir::Graph graph = imported(model);
  EXPECT_EQ(only(graph, ir::Op::Flatten)->int_attr("axis", 9), 1);
  EXPECT_EQ(to_string(only(graph, ir::Op::Softmax)->output()->type), "f32[2,12]");
  EXPECT_EQ(only(graph, ir::Op::Reshape)->output()->name, "y");
  EXPECT_EQ(to_string(graph.outputs()[0].value->type), "f32[2,3,4]");
}

TEST(Canonical, TrainingOutputsAndAttributesGo) {
  TestModel model(9);
  model.input("x", {1, 2, 3, 3}).output("z");
  for (const char* name : {"a", "b", "c", "d"}) model.floats(name, {2}, {1, 1});
  set_float(model.node("BatchNormalization", {"x", "a", "b", "c", "d"}, {"y", "m", "v"}), "momentum", 0.9F);
  set_float(model.node("Dropout", {"y"}, {"z"}), "ratio", 0.5F);
  const ir::Graph graph = imported(model);
  EXPECT_EQ(only(graph, ir::Op::BatchNormalization)->outputs().size(), 1U);
  EXPECT_TRUE(only(graph, ir::Op::BatchNormalization)->attrs.empty());
  EXPECT_TRUE(only(graph, ir::Op::Dropout)->attrs.empty());

  model.node("Relu", {"m"}, {"mean_is_read"});
  const auto refused = model.import();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::unsupported);
  EXPECT_THAT(refused.error().message(), HasSubstr("Relu 'mean_is_read'"));
}

TEST(Canonical, GroupNormalizationEighteenPerChannel) {
  TestModel model(18);
  model.input("x", {1, 4, 2}).output("y").floats("s", {2}, {1, 2}).floats("b", {2}, {3, 4});
  set_int(model.node("GroupNormalization", {"x", "s", "b"}, {"y"}), "num_groups", 2);
  const ir::Graph graph = imported(model);
  const ir::Node* norm = only(graph, ir::Op::GroupNormalization);
  EXPECT_THAT(to_floats(norm->input(1)->constant()), ElementsAre(1, 1, 2, 2));
  EXPECT_THAT(to_floats(norm->input(2)->constant()), ElementsAre(3, 3, 4, 4));
}

TEST(Canonical, ConstantInEverySpelling) {
  TestModel model(13);
  for (const char* name : {"a", "b", "c", "d", "e"}) model.output(name);
  set_float(model.node("Constant", {}, {"a"}), "value_float", 1.5F);
  set_int(model.node("Constant", {}, {"b"}), "value_int", 7);
  set_floats(model.node("Constant", {}, {"c"}), "value_floats", {1, 2});
  set_ints(model.node("Constant", {}, {"d"}), "value_ints", {3});
  pb::TensorProto& t =
      *attribute(model.node("Constant", {}, {"e"}), "value", pb::AttributeProto::TENSOR).mutable_t();
  t.set_data_type(pb::TensorProto::UINT8);
  t.set_raw_data("\x05");
  const ir::Graph graph = imported(model);
  EXPECT_TRUE(graph.nodes().empty());
  const std::vector<std::string> types = {"f32[]", "s64[]", "f32[2]", "s64[1]", "u8[]"};
  for (size_t i = 0; i < types.size(); ++i) EXPECT_EQ(to_string(graph.outputs()[i].value->type), types[i]);
  EXPECT_THAT(to_ints(graph.outputs()[4].value->constant()), ElementsAre(5));

  set_string(model.node("Constant", {}, {"s"}), "value_string", "text");
  ASSERT_FALSE(model.import().ok());
}

TEST(Canonical, RenamedOperators) {
  TestModel model(10);
  model.input("x", {3}).output("y").ints("i", {1}, {0}).floats("u", {1}, {5});
  model.node("Scatter", {"x", "i", "u"}, {"y"});
  const ir::Graph graph = imported(model);
  EXPECT_EQ(graph.nodes().at(0)->op(), ir::Op::ScatterElements);
  TestModel microsoft;
  microsoft.input("x", {3}).output("y").node("Gelu", {"x"}, {"y"}, "com.microsoft");
  const ir::Graph gelu = imported(microsoft);
  EXPECT_EQ(gelu.nodes().at(0)->op(), ir::Op::Gelu);
}

TEST(Canonical, WhatCannotBeRewrittenNamesTheNode) {
  TestModel cast;
  cast.input("x", {1}).output("y");
  set_int(cast.node("Cast", {"x"}, {"y"}), "to", pb::TensorProto::STRING);
  ASSERT_FALSE(cast.import().ok());
  EXPECT_THAT(cast.import().error().message(), HasSubstr("Cast 'y'"));
  EXPECT_THAT(cast.import().error().message(), HasSubstr("STRING"));

  TestModel training(14);
  training.input("x", {1, 1, 2}).output("y");
  for (const char* name : {"a", "b", "c", "d"}) training.floats(name, {1}, {1});
  set_int(training.node("BatchNormalization", {"x", "a", "b", "c", "d"}, {"y"}), "training_mode", 1);
  ASSERT_FALSE(training.import().ok());
  EXPECT_EQ(training.import().error().code, Code::unsupported);
}

TEST(Canonical, AttributesTheOpLacksAreErrors) {
  TestModel newer(11);  // from 11 on the bound is an input: the attribute would be lost
  newer.input("x", {1}).output("y");
  set_float(newer.node("Clip", {"x"}, {"y"}), "max", 6);
  ASSERT_FALSE(newer.import().ok());
  EXPECT_THAT(newer.import().error().message(), HasSubstr("attributes that Clip has at opset 11, got 'max'"));

  TestModel engine(13);  // narrow's own attributes mean nothing in a file
  engine.input("x", {1, 2, 2, 2}).output("y");
  set_int(engine.node("GlobalMaxPool", {"x"}, {"y"}), "channels_last", 1);
  EXPECT_FALSE(engine.import().ok());

  TestModel kind(13);
  kind.input("x", {1}).output("y");
  set_int(kind.node("LeakyRelu", {"x"}, {"y"}), "alpha", 1);
  ASSERT_FALSE(kind.import().ok());
  EXPECT_THAT(kind.import().error().message(), HasSubstr("a float as attribute 'alpha', got an int"));
}

}  // namespace
}  // namespace narrow::onnx
