#include "onnx/export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
  newer.add_output("y", newer.add_node(Op::Swish, {x}, {"y"}, {}, "act")->output());
  ASSERT_TRUE(ir::infer_types(newer).ok());
  expect_refused(newer, "Swish 'act'");

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
