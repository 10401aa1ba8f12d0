#include "onnx/export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "ir/onnx_types.h"
#include "ir/schema.h"
#include "ir/text.h"
#include "onnx/test_model.h"

namespace narrow::onnx {
namespace {

using ir::Op;
using ir::TensorType;
using testing::ElementsAre;
using testing::HasSubstr;

pb::ModelProto exported(const ir::Graph& graph) {
  pb::ModelProto model;
  const auto bytes = export_bytes(graph);
  EXPECT_TRUE(bytes.ok()) << bytes.error().message();
  EXPECT_TRUE(bytes.ok() && model.ParseFromString(*bytes));
  return model;
}

ir::Graph imported(const pb::ModelProto& model) {
  const std::string bytes = model.SerializeAsString();
  auto result = import_bytes(std::as_bytes(std::span(bytes)), {});
  EXPECT_TRUE(result.ok()) << result.error().message();
  return result.ok() ? std::move(result->graph) : ir::Graph();
}

std::vector<std::string> ops_of(const pb::ModelProto& model) {
  std::vector<std::string> ops;
  for (const auto& node : model.graph().node()) ops.push_back(node.op_type());
  return ops;
}

std::string without_provenance(ir::Graph graph) {
  graph.metadata.clear();
  for (ir::Value* value : graph.values()) value->origin.clear();
  return ir::print(graph);
}

TEST(Export, ImportingItGivesTheSameGraph) {
  TestModel model(9);
  model.input("x", {1, 2, 4, 4}).output("y").output("parts_1");
  model.floats("w", {2, 2, 3, 3}, std::vector<float>(36, 0.5F));
  pb::NodeProto& conv = model.node("Conv", {"x", "w"}, {"c"});
  conv.set_name("conv 1");
  set_ints(conv, "pads", {1, 1, 1, 1});
  set_float(model.node("Clip", {"c"}, {"r"}), "max", 6);
  model.node("Softmax", {"r"}, {"y"});
  set_int(model.node("Split", {"y"}, {"parts_0", "parts_1"}), "axis", 1);
  const ir::Graph first = imported(model.proto);
  const pb::ModelProto file = exported(first);
  EXPECT_EQ(file.ir_version(), 10);
  ASSERT_EQ(file.opset_import_size(), 1);
  EXPECT_EQ(file.opset_import(0).version(), 21);
  // What differs: where the model comes from, and that helpers of the first import have names in the file.
  EXPECT_EQ(without_provenance(imported(file)), without_provenance(first.clone()));
}

TEST(Export, SameGraphSameBytes) {
  ir::Graph graph;
  ir::Value* x = graph.add_input("x", TensorType::of(DType::f32, {2}));
  ir::Value* w = graph.add_constant("w", Tensor::of<float>({2}, {1, 2}));
  graph.add_output("y", graph.add_node(Op::Add, {x, w}, {"y"})->output());
  ASSERT_TRUE(ir::infer_types(graph).ok());
  EXPECT_EQ(*export_bytes(graph), *export_bytes(graph.clone()));
}

TEST(Export, OutputsKeepTheirNames) {
  ir::Graph graph;
  ir::Value* x = graph.add_input("x", TensorType::of(DType::f32, {2}));
  ir::Value* one = graph.add_constant("one", Tensor::of<float>({2}, {1, 1}));
  ir::Value* inner = graph.add_node(Op::Relu, {x}, {"logits"})->output();  // its name is that of an output
  ir::Value* last = graph.add_node(Op::Add, {inner, one}, {"sum"})->output();
  graph.add_output("logits", last);
  graph.add_output("again", last);
  graph.add_output("x", x);
  graph.add_output("copy", x);
  graph.add_output("ones", one);
  ASSERT_TRUE(ir::infer_types(graph).ok());
  const pb::ModelProto file = exported(graph);
  EXPECT_THAT(ops_of(file), ElementsAre("Relu", "Add", "Identity", "Identity", "Identity"));
  EXPECT_EQ(file.graph().node(0).output(0), "logits_1");
  EXPECT_EQ(file.graph().node(1).output(0), "logits");
  const ir::Graph back = imported(file);
  std::vector<std::string> names;
  for (const auto& output : back.outputs()) names.push_back(output.name);
  EXPECT_THAT(names, ElementsAre("logits", "again", "x", "copy", "ones"));
}

TEST(Export, OneNameForTwoOutputsIsAnError) {
  ir::Graph graph;
  ir::Value* x = graph.add_input("x", TensorType::of(DType::f32, {2}));
  graph.add_output("x", graph.add_node(Op::Relu, {x}, {"y"})->output());
  ASSERT_TRUE(ir::infer_types(graph).ok());
  ASSERT_FALSE(export_bytes(graph).ok());
  EXPECT_EQ(export_bytes(graph).error().code, Code::invalid_model);
}

TEST(Export, NodesHaveNamesOfTheirOwn) {
  ir::Graph graph;
  ir::Value* value = graph.add_input("x", TensorType::of(DType::f32, {2}));
  for (int i = 0; i < 3; ++i) value = graph.add_node(Op::Relu, {value}, {"y"}, {}, "same")->output();
  graph.add_output("y", value);
  ASSERT_TRUE(ir::infer_types(graph).ok());
  std::vector<std::string> names;
  const pb::ModelProto file = exported(graph);
  for (const auto& node : file.graph().node()) names.push_back(node.name());
  EXPECT_THAT(names, ElementsAre("same", "same_1", "same_2"));
}

TEST(Export, AbsentInputsAndDomains) {
  ir::Graph graph;
  ir::Value* x = graph.add_input("x", TensorType::of(DType::u8, {2}));
  ir::Value* scale = graph.add_constant("scale", Tensor::scalar(0.5F));
  ir::Value* zero = graph.add_constant("zero", Tensor::scalar(uint8_t{3}));
  ir::Value* s = graph.add_node(Op::QLinearSigmoid, {x, scale, nullptr, scale, zero}, {"s"})->output();
  graph.add_output("s", s);
  ASSERT_TRUE(ir::infer_types(graph).ok());
  const pb::ModelProto file = exported(graph);
  EXPECT_EQ(file.graph().node(0).input(2), "");
  EXPECT_EQ(file.graph().node(0).domain(), "com.microsoft");
  ASSERT_EQ(file.opset_import_size(), 2);
  EXPECT_EQ(file.opset_import(1).domain(), "com.microsoft");
  EXPECT_EQ(ir::print(imported(file)), ir::print(imported(exported(imported(file)))));
}

TEST(Export, SwishIsWrittenAsAProductWithItsGate) {
  ir::Graph graph;
  ir::Value* x = graph.add_input("x", TensorType::of(DType::f32, {2}));
  ir::Value* one = graph.add_node(Op::Swish, {x}, {"one"}, {{"alpha", 1.0F}}, "first")->output();
  graph.add_output("y", graph.add_node(Op::Swish, {one}, {"half"}, {{"alpha", 0.5F}})->output());
  ASSERT_TRUE(ir::infer_types(graph).ok());
  const pb::ModelProto file = exported(graph);
  EXPECT_THAT(ops_of(file), ElementsAre("Sigmoid", "Mul", "Mul", "Sigmoid", "Mul"));
  EXPECT_EQ(file.graph().node(1).name(), "first");
  EXPECT_THAT(file.graph().node(1).input(), ElementsAre("x", file.graph().node(0).output(0)));
  EXPECT_EQ(file.graph().node(2).input(0), "one");
  EXPECT_THAT(file.graph().node(4).input(), ElementsAre("one", file.graph().node(3).output(0)));
  EXPECT_EQ(imported(file).nodes_of(Op::Swish).size(), 0U);
  EXPECT_EQ(graph.nodes_of(Op::Swish).size(), 2U);
}

// ---------------------------------------------------------------- bf16 and f16

ir::Value* cast_to(ir::Graph& graph, ir::Value* x, DType type, const std::string& name) {
  return graph.add_node(Op::Cast, {x}, {name}, {{"to", ir::onnx_of_dtype(type)}})->output();
}

TEST(Export, NarrowFloatsStandBetweenCasts) {
  for (const DType narrow : {DType::bf16, DType::f16}) {
    SCOPED_TRACE(to_string(narrow));
    ir::Graph graph;
    ir::Value* x = graph.add_input("x", TensorType::of(DType::f32, {1, 2}));
    ir::Value* w = graph.add_constant("w", cast(Tensor::of<float>({2, 2}, {1, 2, 3, 4}), narrow));
    ir::Value* xb = cast_to(graph, x, narrow, "xb");
    ir::Value* product = graph.add_node(Op::MatMul, {xb, w}, {"p"})->output();
    ir::Value* relu = graph.add_node(Op::Relu, {product}, {"r"})->output();
    graph.add_output("y", cast_to(graph, relu, DType::f32, "yf"));
    ASSERT_TRUE(ir::infer_types(graph).ok());

    const pb::ModelProto file = exported(graph);
    // w stays narrow and is cast once; x and the product are rounded; Relu and the last Cast round nothing.
    EXPECT_THAT(ops_of(file),
                testing::UnorderedElementsAre("Cast", "Cast", "Cast", "MatMul", "Cast", "Cast", "Relu"));
    EXPECT_EQ(file.graph().initializer(0).data_type(), ir::onnx_of_dtype(narrow));
    const ir::Graph back = imported(file);
    for (const ir::Node* node : back.nodes()) {
      if (node->op() == Op::Cast) continue;
      for (const ir::Value* input : node->inputs())
        EXPECT_EQ(input->type.dtype, DType::f32) << node->location();
    }
    EXPECT_EQ(back.outputs()[0].name, "y");
    EXPECT_EQ(back.outputs()[0].value->producer()->op(), Op::Relu);
    const ir::Node* matmul = back.nodes_of(Op::MatMul).at(0);
    for (const ir::Value* input : matmul->inputs())  // each read through narrow -> float
      EXPECT_EQ(input->producer()->input(0)->type.dtype, narrow);
  }
}

TEST(Export, CastBackToFloatWithManyReadersVanishes) {
  ir::Graph graph;
  ir::Value* x = graph.add_input("x", TensorType::of(DType::bf16, {2}));
  ir::Value* f = cast_to(graph, x, DType::f32, "f");
  for (const char* name : {"a", "b", "c"})
    graph.add_output(name, graph.add_node(Op::Mul, {f, f}, {name})->output());
  graph.add_output("f", f);
  ASSERT_TRUE(ir::infer_types(graph).ok());
  EXPECT_THAT(ops_of(exported(graph)), ElementsAre("Cast", "Mul", "Mul", "Mul"));
}

TEST(Export, NarrowInputsAndOutputsKeepTheirTypes) {
  ir::Graph graph;
  ir::Value* x = graph.add_input("x", TensorType::of(DType::f16, {2}));
  ir::Value* e = graph.add_node(Op::Exp, {x}, {"e"})->output();
  graph.add_output("moved", graph.add_node(Op::Relu, {e}, {"m"})->output());
  graph.add_output("computed", e);
  graph.add_output("x", x);
  ASSERT_TRUE(ir::infer_types(graph).ok());
  const ir::Graph back = imported(exported(graph));
  EXPECT_EQ(back.inputs()[0]->type.dtype, DType::f16);
  for (const auto& output : back.outputs()) EXPECT_EQ(output.value->type.dtype, DType::f16) << output.name;
}

// ---------------------------------------------------------------- bodies

pb::GraphProto& branch(pb::NodeProto& node, const char* name, const char* output) {
  pb::GraphProto& body = *attribute(node, name, pb::AttributeProto::GRAPH).mutable_g();
  body.set_name(name);
  body.add_output()->set_name(output);
  return body;
}

/// If(flag): a, captured as it is, else Relu(Add(a, w)) in a body that calls its values as the other does.
TestModel branching() {
  TestModel model(16);
  model.input("x", {2}).input("flag", {}, pb::TensorProto::BOOL).output("y").output("z");
  model.floats("w", {2}, {1, 2});
  model.node("Neg", {"x"}, {"a"});
  pb::NodeProto& node = model.node("If", {"flag"}, {"z"});
  node.set_name("choice");
  branch(node, "then_branch", "a");
  pb::GraphProto& otherwise = branch(node, "else_branch", "inner");
  TestModel::fill(*otherwise.add_node(), "Add", {"a", "w"}, {"sum"});
  TestModel::fill(*otherwise.add_node(), "Relu", {"sum"}, {"inner"});
  model.node("Exp", {"z"}, {"y"});
  return model;
}

const pb::GraphProto& body_of(const pb::NodeProto& node, const std::string& name) {
  for (const auto& attr : node.attribute())
    if (attr.name() == name) return attr.g();
  ADD_FAILURE() << "no body " << name;
  return pb::GraphProto::default_instance();
}

TEST(Export, BodiesReadOuterValuesByTheirNames) {
  const ir::Graph first = imported(branching().proto);
  const pb::ModelProto file = exported(first);
  EXPECT_THAT(ops_of(file), ElementsAre("Neg", "If", "Exp"));
  const pb::NodeProto& node = file.graph().node(1);
  EXPECT_THAT(node.input(), ElementsAre("flag"));
  EXPECT_EQ(node.attribute_size(), 2);
  const pb::GraphProto& then = body_of(node, "then_branch");
  EXPECT_EQ(then.input_size(), 0);
  ASSERT_EQ(then.node_size(), 1);  // a body returns what it makes
  EXPECT_EQ(then.node(0).op_type(), "Identity");
  EXPECT_EQ(then.node(0).input(0), "a");
  EXPECT_NE(then.output(0).name(), "a");
  EXPECT_EQ(body_of(node, "else_branch").node(0).input(0), "a");
  EXPECT_EQ(body_of(node, "else_branch").initializer_size(), 1);
  const ir::Graph second = imported(file);
  EXPECT_EQ(ir::print(imported(exported(second))), ir::print(second));
}

TEST(Export, NoNameOfABodyHidesOneOutside) {
  const pb::ModelProto file = exported(imported(branching().proto));
  std::set<std::string> outside;
  for (const auto& node : file.graph().node()) outside.insert(node.output().begin(), node.output().end());
  for (const auto& input : file.graph().input()) outside.insert(input.name());
  for (const char* name : {"then_branch", "else_branch"}) {
    const pb::GraphProto& body = body_of(file.graph().node(1), name);
    for (const auto& node : body.node()) EXPECT_FALSE(outside.contains(node.output(0))) << node.output(0);
    for (const auto& tensor : body.initializer()) EXPECT_TRUE(outside.insert(tensor.name()).second);
  }
}

TEST(Export, HalfFloatsOfABodyStayAtItsBorder) {
  TestModel model = branching();
  model.graph().mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(
      pb::TensorProto::FLOAT16);
  model.graph().mutable_initializer(0)->set_data_type(pb::TensorProto::FLOAT16);
  model.graph().mutable_initializer(0)->clear_float_data();
  for (const int32_t one : {0x3C00, 0x4000}) model.graph().mutable_initializer(0)->add_int32_data(one);
  const ir::Graph back = imported(exported(imported(model.proto)));
  const ir::Node* node = back.nodes_of(Op::If).at(0);
  EXPECT_EQ(node->output()->type.dtype, DType::f16);
  EXPECT_EQ(node->input(1)->type.dtype, DType::f16);
  for (const ir::GraphOutput& output : back.outputs()) EXPECT_EQ(output.value->type.dtype, DType::f16);
  for (const ir::Node* outside : back.nodes())
    if (outside->op() == Op::Neg || outside->op() == Op::Exp) {
      EXPECT_EQ(outside->input(0)->type.dtype, DType::f32) << outside->location();
    }
}

TEST(Export, ALoopCountsInScalars) {
  TestModel model(16);
  model.input("x", {2}).output("y").ints("m", {}, {3});
  pb::NodeProto& node = model.node("Loop", {"m", "", "x"}, {"y"});
  pb::GraphProto& body = branch(node, "body", "go_on");
  body.add_output()->set_name("next");
  for (const auto& [name, type] : {std::pair{"i", pb::TensorProto::INT64},
                                   {"go", pb::TensorProto::BOOL},
                                   {"v", pb::TensorProto::FLOAT}}) {
    body.add_input()->set_name(name);
    body.mutable_input(body.input_size() - 1)->mutable_type()->mutable_tensor_type()->set_elem_type(type);
  }
  TestModel::fill(*body.add_node(), "Identity", {"go"}, {"go_on"});
  TestModel::fill(*body.add_node(), "Neg", {"v"}, {"next"});
  const pb::ModelProto file = exported(imported(model.proto));
  const pb::GraphProto& written = body_of(file.graph().node(0), "body");
  ASSERT_EQ(written.input_size(), 3);
  for (const int i : {0, 1}) {
    EXPECT_TRUE(written.input(i).type().tensor_type().has_shape()) << i;  // ONNX Runtime asks for it
    EXPECT_EQ(written.input(i).type().tensor_type().shape().dim_size(), 0);
  }
  EXPECT_EQ(ir::print(imported(exported(imported(file)))), ir::print(imported(file)));
}

// ---------------------------------------------------------------- what cannot be written

void expect_refused(ir::Graph& graph, const std::string& part) {
  const auto bytes = export_bytes(graph);
  ASSERT_FALSE(bytes.ok()) << part;
  EXPECT_EQ(bytes.error().code, Code::unsupported);
  EXPECT_THAT(bytes.error().message(), HasSubstr(part));
}

TEST(Export, RefusesWhatIsNotPortable) {
  ir::Graph newer;
  ir::Value* x = newer.add_input("x", TensorType::of(DType::f32, {2}));
  newer.add_output("y", newer.add_node(Op::SwiGLU, {x, x}, {"y"}, {}, "act")->output());
  ASSERT_TRUE(ir::infer_types(newer).ok());
  expect_refused(newer, "SwiGLU 'act'");

  ir::Graph engine;
  x = engine.add_input("x", TensorType::of(DType::f32, {1, 1, 2, 2}));
  ir::Node* conv = engine.add_node(Op::FusedConv, {x, x}, {"y"}, {}, "conv");
  conv->output()->type = TensorType::of(DType::f32, {1});
  engine.add_output("y", conv->output());
  expect_refused(engine, "FusedConv 'conv'");

  ir::Graph quantized;
  x = quantized.add_input("x", TensorType::of(DType::f32, {2}));
  ir::Node* relu = quantized.add_node(Op::Relu, {x}, {"y"}, {}, "relu");
  relu->output()->type = TensorType::of(DType::u8, {2});
  quantized.add_output("y", relu->output());
  auto quant = std::make_shared<Quantization>();
  quant->scale = {0.5F};
  quant->zero_point = {0};
  relu->output()->type.quant = quant;
  expect_refused(quantized, "Relu 'relu'");
}

}  // namespace
}  // namespace narrow::onnx
