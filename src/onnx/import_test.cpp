#include "onnx/import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/file.h"
#include "onnx/test_model.h"

namespace narrow::onnx {
namespace {

using testing::HasSubstr;

TestModel add_model() {
  TestModel model(13);
  model.input("x", {2, 3}).output("y").floats("w", {3}, {1, 2, 3});
  model.node("Add", {"x", "w"}, {"sum"});
  model.node("Relu", {"sum"}, {"y"});
  return model;
}

void expect_error(const TestModel& model, Code code, const std::string& part) {
  const Result<ImportedModel> result = model.import();
  ASSERT_FALSE(result.ok()) << "imported; expected an error with: " << part;
  EXPECT_EQ(result.error().code, code) << result.error().message();
  EXPECT_THAT(result.error().message(), HasSubstr(part));
}

// ---------------------------------------------------------------- graphs

TEST(Import, KeepsNamesAndOrigins) {
  TestModel model = add_model();
  model.graph().mutable_node(0)->set_name("the sum");
  const auto imported = model.import();
  ASSERT_TRUE(imported.ok()) << imported.error().message();
  const ir::Graph& graph = imported->graph;
  ASSERT_EQ(graph.nodes().size(), 2U);
  EXPECT_EQ(graph.nodes()[0]->name, "the sum");
  EXPECT_EQ(graph.nodes()[1]->name, "y");
  for (const ir::Value* value : graph.values()) EXPECT_EQ(value->origin, value->name);
  EXPECT_EQ(graph.inputs().at(0)->name, "x");
  EXPECT_EQ(graph.outputs().at(0).name, "y");
  EXPECT_EQ(to_string(graph.outputs()[0].value->type), "f32[2,3]");
  EXPECT_EQ(graph.metadata.at("opset"), "13");
}

TEST(Import, InitializersListedAsInputsAreConstants) {
  TestModel model = add_model();
  model.proto.set_ir_version(3);
  model.input("w", {3});
  const auto imported = model.import();
  ASSERT_TRUE(imported.ok()) << imported.error().message();
  EXPECT_EQ(imported->graph.inputs().size(), 1U);
  EXPECT_TRUE(imported->graph.find_value("w")->is_constant());
}

TEST(Import, DimensionsKnownSymbolicAndUnknown) {
  TestModel model(13);
  model.input("x", {0, 4, -1}).output("y").node("Relu", {"x"}, {"y"});
  auto* shape = model.graph().mutable_input(0)->mutable_type()->mutable_tensor_type()->mutable_shape();
  shape->add_dim()->set_dim_param("batch size");
  shape->add_dim()->set_dim_param("batch_size");
  shape->add_dim()->set_dim_param("batch size");
  const auto imported = model.import();
  ASSERT_TRUE(imported.ok()) << imported.error().message();
  EXPECT_EQ(to_string(imported->graph.inputs()[0]->type), "f32[?,4,?,batch_size,batch_size_1,batch_size]");
}

TEST(Import, NodesInAnyOrder) {
  TestModel model = add_model();
  model.graph().mutable_node()->SwapElements(0, 1);
  const auto imported = model.import();
  ASSERT_TRUE(imported.ok()) << imported.error().message();
  EXPECT_EQ(imported->graph.nodes()[0]->op(), ir::Op::Add);
}

TEST(Import, OutputsMayBeInputsOrInitializers) {
  TestModel model = add_model();
  model.output("x").output("w");
  const auto imported = model.import();
  ASSERT_TRUE(imported.ok()) << imported.error().message();
  EXPECT_TRUE(imported->graph.outputs()[1].value->is_graph_input());
  EXPECT_TRUE(imported->graph.outputs()[2].value->is_constant());
}

TEST(Import, NamesTheFileUsesStayFree) {
  TestModel model(11);
  model.input("x", {1, 2}).output("y_axes");
  set_ints(model.node("Squeeze", {"x"}, {"y"}), "axes", {0});
  model.node("Relu", {"y"}, {"y_axes"});
  const auto imported = model.import();
  ASSERT_TRUE(imported.ok()) << imported.error().message();
  EXPECT_EQ(imported->graph.outputs()[0].value->name, "y_axes");
}

TEST(Import, NamesBecomeUtf8AndStayTheSameName) {
  TestModel model(13);
  model.input("x\xff", {1, 2}).output("\xc3").floats("\xfe", {2}, {1, 2});
  model.node("Add", {"x\xff", "\xfe"}, {"\xc3"}).set_name("h\xc3\xb6he \xed\xa0\x80");
  const auto imported = model.import();
  ASSERT_TRUE(imported.ok()) << imported.error().message();
  EXPECT_EQ(imported->graph.inputs()[0]->name, "x\\xff");
  EXPECT_EQ(imported->graph.outputs()[0].name, "\\xc3");
  EXPECT_EQ(imported->graph.nodes()[0]->name, "h\xc3\xb6he \\xed\\xa0\\x80");
}

TEST(Import, BrokenGraphsAreErrors) {
  TestModel twice = add_model();
  twice.node("Relu", {"x"}, {"sum"});
  expect_error(twice, Code::invalid_model, "'sum' a second time");

  TestModel missing = add_model();
  missing.node("Relu", {"nobody"}, {"z"});
  expect_error(missing, Code::invalid_model, "Relu 'z'");

  TestModel cycle(13);
  cycle.output("a").node("Relu", {"b"}, {"a"});
  cycle.node("Relu", {"a"}, {"b"});
  expect_error(cycle, Code::invalid_model, "acyclic");

  TestModel no_output = add_model();
  no_output.graph().clear_output();
  expect_error(no_output, Code::invalid_model, "output");

  TestModel unknown_output = add_model();
  unknown_output.output("nothing");
  expect_error(unknown_output, Code::invalid_model, "output 'nothing'");

  TestModel same_initializer = add_model();
  same_initializer.floats("w", {1}, {1});
  expect_error(same_initializer, Code::invalid_model, "initializer 'w'");

  TestModel wrong_type = add_model();
  wrong_type.graph().mutable_output(0)->mutable_type()->mutable_tensor_type()->set_elem_type(
      pb::TensorProto::INT64);
  expect_error(wrong_type, Code::invalid_model, "s64");
}

TEST(Import, WhatNarrowDoesNotKnowIsNamed) {
  TestModel unknown = add_model();
  unknown.node("Foo", {"x"}, {"z"}).set_name("node_3");
  expect_error(unknown, Code::unsupported,
               "Foo 'node_3': expected an operator narrow knows at opset 13, got ai.onnx.Foo");
  TestModel fused = add_model();
  fused.node("FusedConv", {"x", "w"}, {"z"}, "com.microsoft");
  expect_error(fused, Code::unsupported, "com.microsoft.FusedConv");
  TestModel engine = add_model();
  engine.node("FusedConv", {"x", "w"}, {"z"}, "narrow");
  expect_error(engine, Code::unsupported, "FusedConv");
  TestModel control = add_model();
  attribute(control.node("If", {"x"}, {"z"}), "then_branch", pb::AttributeProto::GRAPH)
      .mutable_g()
      ->set_name("g");
  expect_error(control, Code::invalid_model, "If 'z'");  // a float condition, one branch
  TestModel early = add_model();
  early.node("Gelu", {"x"}, {"z"});
  expect_error(early, Code::invalid_model, "opset 20 or newer");
  for (const int64_t opset : {6, 29}) {
    TestModel model(opset);
    model.input("x", {1}).output("y").node("Relu", {"x"}, {"y"});
    expect_error(model, Code::unsupported, "opset " + std::to_string(opset));
  }
  TestModel sequence = add_model();
  sequence.graph().add_input()->mutable_type()->mutable_sequence_type();
  sequence.graph().mutable_input(1)->set_name("s");
  expect_error(sequence, Code::unsupported, "input 's'");
}

// ---------------------------------------------------------------- functions

/// Leaky(x; alpha = 0.25 by default) = LeakyRelu(x), in domain "test".
pb::FunctionProto& add_leaky(TestModel& model) {
  pb::FunctionProto* function = model.proto.add_functions();
  function->set_name("Leaky");
  function->set_domain("test");
  function->add_input("in");
  function->add_output("out");
  pb::AttributeProto* fallback = function->add_attribute_proto();
  fallback->set_name("slope");
  fallback->set_type(pb::AttributeProto::FLOAT);
  fallback->set_f(0.25F);
  auto* import = function->add_opset_import();
  import->set_version(16);
  pb::NodeProto* node = function->add_node();
  TestModel::fill(*node, "LeakyRelu", {"in"}, {"out"});
  attribute(*node, "alpha", pb::AttributeProto::FLOAT).set_ref_attr_name("slope");
  return *function;
}

TEST(Functions, AreInlinedWithTheirAttributes) {
  TestModel model(13);
  add_leaky(model);
  pb::FunctionProto* twice = model.proto.add_functions();  // Twice(x; slope) = Leaky(Leaky(x; slope))
  twice->set_name("Twice");
  twice->set_domain("test");
  twice->add_input("a");
  twice->add_output("b");
  twice->add_attribute("slope");
  TestModel::fill(*twice->add_node(), "Leaky", {"a"}, {"in"}, "test");
  TestModel::fill(*twice->add_node(), "Leaky", {"in"}, {"b"}, "test");
  attribute(*twice->mutable_node(0), "slope", pb::AttributeProto::FLOAT).set_ref_attr_name("slope");
  model.input("x", {2}).output("y").output("z");
  set_float(model.node("Twice", {"x"}, {"y"}, "test"), "slope", 0.5F);
  model.node("Twice", {"y"}, {"z"}, "test");

  const auto imported = model.import();
  ASSERT_TRUE(imported.ok()) << imported.error().message();
  std::vector<float> alphas;
  for (const ir::Node* node : imported->graph.nodes()) {
    EXPECT_EQ(node->op(), ir::Op::LeakyRelu);
    alphas.push_back(node->float_attr("alpha", -1));
  }
  EXPECT_THAT(alphas, testing::ElementsAre(0.5F, 0.25F, 0.25F, 0.25F));
  EXPECT_EQ(imported->graph.nodes()[0]->output()->name, "y/in");
  EXPECT_EQ(imported->graph.nodes()[2]->output()->name, "z/in");
}

TEST(Functions, FollowTheirOwnOpset) {
  TestModel model(18);
  pb::FunctionProto& function = add_leaky(model);
  function.mutable_opset_import(0)->set_version(11);
  TestModel::fill(*function.mutable_node()->Add(), "Squeeze", {"in"}, {"unused"});
  set_ints(*function.mutable_node(1), "axes", {0});
  function.set_output(0, "unused");
  model.input("x", {1, 2}).output("y").node("Leaky", {"x"}, {"y"}, "test");
  const auto imported = model.import();
  ASSERT_TRUE(imported.ok()) << imported.error().message();
  EXPECT_EQ(to_string(imported->graph.outputs()[0].value->type), "f32[2]");
}

TEST(Functions, PassingAnInputOnIsAnIdentity) {
  TestModel model(13);
  pb::FunctionProto& function = add_leaky(model);
  function.set_output(0, "in");
  model.input("x", {2}).output("y").node("Leaky", {"x"}, {"y"}, "test");
  const auto imported = model.import();
  ASSERT_TRUE(imported.ok()) << imported.error().message();
  ASSERT_EQ(imported->graph.nodes().size(), 1U);
  EXPECT_EQ(imported->graph.nodes()[0]->op(), ir::Op::Identity);
}

TEST(Functions, RecursionIsAnError) {
  TestModel model(13);
  TestModel::fill(*add_leaky(model).add_node(), "Leaky", {"in"}, {"again"}, "test");
  model.input("x", {2}).output("y").node("Leaky", {"x"}, {"y"}, "test");
  expect_error(model, Code::unsupported, "function 'Leaky'");
}

TEST(Functions, ExpansionIsBounded) {  // 10^12 nodes if nobody counted
  TestModel model(13);
  for (int level = 0; level < 12; ++level) {
    pb::FunctionProto* function = model.proto.add_functions();
    function->set_name("F" + std::to_string(level));
    function->set_domain("test");
    function->add_input("in");
    function->add_output("out");
    for (int i = 0; i < 10; ++i)
      TestModel::fill(*function->add_node(), level == 0 ? "Relu" : "F" + std::to_string(level - 1), {"in"},
                      {i == 0 ? "out" : "o" + std::to_string(i)}, level == 0 ? "" : "test");
  }
  model.input("x", {2}).output("y").node("F11", {"x"}, {"y"}, "test");
  expect_error(model, Code::unsupported, "200000 nodes");
}

// ---------------------------------------------------------------- finite weights

TEST(Finite, NanIsAnErrorInfinityOnlyInMasks) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  TestModel nan = add_model();
  nan.graph().mutable_initializer(0)->set_float_data(2, std::numeric_limits<float>::quiet_NaN());
  expect_error(nan, Code::invalid_model, "initializer 'w': expected finite weights, got NaN at index 2");

  TestModel mask = add_model();  // read by Add
  mask.graph().mutable_initializer(0)->set_float_data(1, -kInf);
  EXPECT_TRUE(mask.import().ok());

  TestModel weight = mask;
  weight.graph().mutable_node(0)->set_op_type("Mul");
  expect_error(weight, Code::invalid_model, "Inf at index 1");

  TestModel zeros = weight;
  zeros.graph().mutable_initializer(0)->set_float_data(0, 0);
  zeros.graph().mutable_initializer(0)->set_float_data(2, 0);
  EXPECT_TRUE(zeros.import().ok());

  const std::string bytes = nan.proto.SerializeAsString();
  EXPECT_TRUE(import_bytes(std::as_bytes(std::span(bytes)), {}, {.check_finite = false}).ok());
}

TEST(Scales, ArePositiveAndFinite) {
  const auto with_scales = [](const std::vector<float>& scales) {
    TestModel model(13);
    model.input("x", {1, 2}).output("y").floats("s", {2}, scales);
    set_int(model.node("QuantizeLinear", {"x", "s"}, {"q"}), "axis", 1);
    set_int(model.node("DequantizeLinear", {"q", "s"}, {"y"}), "axis", 1);
    return model;
  };
  EXPECT_TRUE(with_scales({0.5F, 1e-30F}).import().ok());
  expect_error(with_scales({0.5F, 0}), Code::invalid_model, "QuantizeLinear 'q'");
  expect_error(with_scales({-1, 1}), Code::invalid_model, "got -1 at channel 0");
  TestModel weights = with_scales({0.5F, 0});  // a channel of weights that are all zeros
  weights.floats("x", {1, 2}, {0.75F, 0}).graph().clear_input();
  EXPECT_TRUE(weights.import().ok());
  expect_error(with_scales({1, std::numeric_limits<float>::infinity()}), Code::invalid_model,
               "Inf at index 1");
  expect_error(with_scales({1, std::numeric_limits<float>::quiet_NaN()}), Code::invalid_model,
               "NaN at index 1");
}

TEST(Sizes, BeyondTheMachineAreErrorsThatNameTheNode) {
  constexpr int64_t kHuge = int64_t{1} << 45;
  TestModel filled(13);
  filled.input("x", {1}).output("y").ints("s", {2}, {kHuge, 2}).node("ConstantOfShape", {"s"}, {"y"});
  expect_error(filled, Code::unsupported, "ConstantOfShape 'y'");
  TestModel expanded(13);
  expanded.input("x", {1}).output("y").ints("s", {1}, {kHuge}).node("Expand", {"x", "s"}, {"y"});
  expect_error(expanded, Code::unsupported, "of memory there are");
  TestModel overflowing(13);
  overflowing.input("x", {1}).output("y").ints("s", {2}, {kHuge, kHuge}).node("Expand", {"x", "s"}, {"y"});
  expect_error(overflowing, Code::invalid_model, "63 bits");
  TestModel claimed(13);  // a weight of more bytes than the file has
  claimed.input("x", {1}).output("y").floats("w", {kHuge}, {1}).node("Add", {"x", "w"}, {"y"});
  expect_error(claimed, Code::invalid_model, "initializer 'w'");
  TestModel empty(13);  // nothing in it, and no division by it
  empty.input("x", {1, 4}).output("y").floats("w", {4, 0}, {}).node("MatMul", {"x", "w"}, {"y"});
  EXPECT_TRUE(empty.import().ok());
}

// ---------------------------------------------------------------- files that are no models

TEST(Damaged, EveryTruncationIsAnError) {
  const std::string whole = add_model().proto.SerializeAsString();
  for (size_t length = 0; length < whole.size(); ++length) {
    const std::string cut = whole.substr(0, length);
    EXPECT_FALSE(import_bytes(std::as_bytes(std::span(cut)), {}).ok()) << "cut to " << length << " bytes";
  }
}

TEST(Damaged, AnyByteChangedNeverCrashes) {
  const std::string whole = add_model().proto.SerializeAsString();
  int64_t imported = 0;
  for (size_t at = 0; at < whole.size(); ++at)
    for (const int flip : {0x01, 0x02, 0x10, 0x80, 0xff}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ flip);
      imported += import_bytes(std::as_bytes(std::span(changed)), {}).ok() ? 1 : 0;
    }
  EXPECT_GT(imported, 0);  // a changed weight is still a model
}

TEST(Damaged, GarbageIsAnErrorWithTheFileName) {
  const auto path = std::filesystem::path(testing::TempDir()) / "narrow_garbage.onnx";
  ASSERT_TRUE(write_file(path, "version https://git-lfs.github.com/spec/v1\n").ok());
  const auto result = import_file(path);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Code::invalid_model);
  EXPECT_THAT(result.error().message(), HasSubstr("narrow_garbage.onnx"));
  const auto missing = import_file("/no/such/model.onnx");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, Code::not_found);
}

}  // namespace
}  // namespace narrow::onnx
