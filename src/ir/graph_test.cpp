#include "ir/graph.h"

#include <gtest/gtest.h>

namespace narrow::ir {
namespace {

TensorType f32(const Shape& shape) { return TensorType::of(DType::f32, shape); }

/// x -> Relu a -> (Exp b, Add(a, b) c) -> y
struct Diamond {
  Graph graph;
  Value* x = graph.add_input("x", f32({2}));
  Node* a = graph.add_node(Op::Relu, {x}, {"a"});
  Node* b = graph.add_node(Op::Exp, {a->output()}, {"b"});
  Node* c = graph.add_node(Op::Add, {a->output(), b->output()}, {"c"});
  Diamond() { graph.add_output("y", c->output()); }
};

TEST(Graph, KnowsUsesAndReaders) {
  Diamond d;
  EXPECT_EQ(d.a->output()->uses(), (std::vector<Use>{{d.b, 0}, {d.c, 0}}));
  EXPECT_EQ(d.graph.readers(d.a->output()), 2);
  EXPECT_EQ(d.graph.readers(d.c->output()), 1);  // the graph output
  EXPECT_TRUE(d.graph.is_graph_output(d.c->output()));
  EXPECT_EQ(producer_if_only_use(d.graph, d.b->output(), Op::Exp), d.b);
  EXPECT_EQ(producer_if_only_use(d.graph, d.a->output(), Op::Relu), nullptr);
  EXPECT_EQ(producer_if_only_use(d.graph, d.b->output(), Op::Log), nullptr);
}

TEST(Graph, SetInputMovesTheUse) {
  Diamond d;
  d.graph.set_input(d.c, 1, d.a->output());
  EXPECT_TRUE(d.b->output()->uses().empty());
  EXPECT_EQ(d.a->output()->uses(), (std::vector<Use>{{d.b, 0}, {d.c, 0}, {d.c, 1}}));
  d.graph.set_input(d.c, 3, d.x);
  EXPECT_EQ(d.c->inputs().size(), 4U);
  EXPECT_EQ(d.c->input(2), nullptr);
  d.graph.set_input(d.c, 3, nullptr);
  EXPECT_EQ(d.c->inputs().size(), 2U);  // absent inputs at the end are dropped
}

TEST(Graph, ReplaceAllUsesTakesOutputsAndOrigin) {
  Diamond d;
  d.c->output()->origin = "onnx_c";
  d.c->output()->origin_perm = {1, 0};
  Node* e = d.graph.add_node(Op::Tanh, {d.x}, {"e"});
  d.graph.replace_all_uses(d.c->output(), e->output());
  EXPECT_EQ(d.graph.outputs()[0].value, e->output());
  EXPECT_EQ(d.graph.outputs()[0].name, "y");
  EXPECT_EQ(e->output()->origin, "onnx_c");
  EXPECT_EQ(e->output()->origin_perm, (std::vector<int64_t>{1, 0}));
  d.graph.replace_all_uses(d.a->output(), d.x);
  EXPECT_EQ(d.b->input(0), d.x);
  EXPECT_EQ(d.c->input(0), d.x);
  EXPECT_TRUE(d.a->output()->uses().empty());
}

TEST(Graph, SortPutsProducersFirstAndKeepsTheRest) {
  Diamond d;
  Node* late = d.graph.add_node(Op::Tanh, {d.x}, {"late"});
  d.graph.set_input(d.b, 0, late->output());
  ASSERT_TRUE(d.graph.sort().ok());
  EXPECT_EQ(d.graph.nodes(), (std::vector<Node*>{d.a, late, d.b, d.c}));
}

TEST(Graph, SortNamesANodeOnACycle) {
  Diamond d;
  d.graph.set_input(d.a, 0, d.b->output());
  const Status status = d.graph.sort();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::invalid_model);
  EXPECT_NE(status.error().message().find("'a'"), std::string::npos);
}

TEST(Graph, RemoveDeadKeepsInputsAndWhatOutputsNeed) {
  Diamond d;
  Value* w = d.graph.add_constant("w", Tensor::scalar(1.0F));
  Node* dead = d.graph.add_node(Op::Mul, {d.b->output(), w}, {"dead"});
  d.graph.add_node(Op::Neg, {dead->output()}, {"deader"});
  EXPECT_EQ(d.graph.remove_dead(), 2);
  EXPECT_EQ(d.graph.nodes(), (std::vector<Node*>{d.a, d.b, d.c}));
  EXPECT_EQ(d.graph.find_value("w"), nullptr);
  EXPECT_EQ(d.graph.find_value("dead"), nullptr);
  EXPECT_EQ(d.b->output()->uses(), (std::vector<Use>{{d.c, 1}}));
  EXPECT_EQ(d.graph.remove_dead(), 0);
  d.graph.set_output(0, d.x);
  EXPECT_EQ(d.graph.remove_dead(), 3);
  EXPECT_EQ(d.graph.values(), (std::vector<Value*>{d.x}));
}

TEST(Graph, CloneIsAnotherGraphWithTheSameContent) {
  Diamond d;
  d.graph.name = "diamond";
  d.graph.metadata["opset"] = "21";
  d.c->attrs["axis"] = int64_t{3};
  d.c->output()->origin = "o";
  Value* w = d.graph.add_constant("w", Tensor::scalar(1.0F));
  d.graph.set_input(d.b, 1, w);
  const Graph copy = d.graph.clone();
  EXPECT_EQ(copy.name, "diamond");
  EXPECT_EQ(copy.metadata, d.graph.metadata);
  ASSERT_EQ(copy.nodes().size(), 3U);
  EXPECT_EQ(copy.nodes()[2]->int_attr("axis", 0), 3);
  EXPECT_EQ(copy.outputs()[0].value, copy.nodes()[2]->output());
  EXPECT_EQ(copy.outputs()[0].value->origin, "o");
  EXPECT_NE(copy.find_value("a"), d.a->output());
  EXPECT_EQ(copy.find_value("a")->uses().size(), 2U);
  EXPECT_TRUE(copy.find_value("w")->constant().same_bits(w->constant()));
}

TEST(Graph, NamesAreUnique) {
  Graph graph;
  Value* x = graph.add_input("x", f32({}));
  EXPECT_EQ(graph.add_constant("x", Tensor::scalar(1.0F))->name, "x_1");
  Node* n = graph.add_node(Op::Split, {x}, {"x", "x", ""});
  EXPECT_EQ(n->output(0)->name, "x_2");
  EXPECT_EQ(n->output(1)->name, "x_3");
  EXPECT_FALSE(n->output(2)->name.empty());
  graph.rename(n->output(0), "renamed");
  EXPECT_EQ(graph.find_value("renamed"), n->output(0));
  EXPECT_EQ(graph.find_value("x_2"), nullptr);
}

TEST(Graph, TypesPrint) {
  TensorType type = f32({1, 2});
  type.dims = {Dim("N"), Dim(), Dim(3)};
  EXPECT_EQ(to_string(type), "f32[N,?,3]");
  EXPECT_FALSE(type.is_static());
  EXPECT_EQ(to_string(TensorType::unranked(DType::bf16)), "bf16");
  type.quant = std::make_shared<Quantization>(Quantization{{0.5F, 0.25F}, {0, 1}, 2});
  EXPECT_EQ(to_string(type), "f32[N,?,3]<2;0.5,0.25;0,1>");
}

}  // namespace
}  // namespace narrow::ir
