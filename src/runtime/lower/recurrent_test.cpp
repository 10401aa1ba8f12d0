// The recurrent kernel against the plain backend, on graphs.
#include <gtest/gtest.h>

#include "ir/schema.h"
#include "runtime/session.h"
#include "runtime/test_graphs.h"

namespace narrow::runtime {
namespace {

using testing_graphs::distance;

constexpr int64_t kSteps = 5, kBatch = 3, kInput = 7, kHidden = 9;

Tensor constant(Shape shape, uint64_t seed) {
  ir::Graph graph;
  graph.add_input("t", ir::TensorType::of(DType::f32, std::move(shape)));
  return testing_graphs::inputs_for(graph, seed).at("t");
}

ir::Graph recurrent(ir::Op op, const std::string& direction, bool states, int64_t linear) {
  const int64_t directions = direction == "bidirectional" ? 2 : 1,
                rows = (op == ir::Op::LSTM ? 4 : 3) * kHidden;
  ir::Graph graph;
  ir::Value* x = graph.add_input("x", ir::TensorType::of(DType::f32, {kSteps, kBatch, kInput}));
  std::vector<ir::Value*> inputs = {x, graph.add_constant("w", constant({directions, rows, kInput}, 1)),
                                    graph.add_constant("r", constant({directions, rows, kHidden}, 2)),
                                    graph.add_constant("b", constant({directions, 2 * rows}, 3))};
  std::vector<std::string> outputs = {"y", "h"};
  if (op == ir::Op::LSTM) outputs.emplace_back("c");
  const ir::TensorType state = ir::TensorType::of(DType::f32, {directions, kBatch, kHidden});
  if (states) {
    inputs.push_back(nullptr);
    inputs.push_back(graph.add_input("h0", state));
    if (op == ir::Op::LSTM) inputs.push_back(graph.add_input("c0", state));
  }
  ir::Attributes attrs = {{"hidden_size", kHidden}, {"direction", direction}};
  if (op == ir::Op::GRU) attrs["linear_before_reset"] = linear;
  const ir::Node* node = graph.add_node(op, inputs, outputs, attrs, "cell");
  for (size_t i = 0; i < outputs.size(); ++i) graph.add_output(outputs[i], node->outputs()[i]);
  EXPECT_TRUE(ir::infer_types(graph).ok());
  return graph;
}

TEST(Recurrent, AnswersAsThePlainBackend) {
  for (const ir::Op op : {ir::Op::LSTM, ir::Op::GRU})
    for (const char* direction : {"forward", "reverse", "bidirectional"})
      for (const bool states : {false, true})
        for (const int64_t linear : {0, 1}) {
          const ir::Graph graph = recurrent(op, direction, states, linear);
          const TensorMap inputs = testing_graphs::inputs_for(graph, 4);
          SessionOptions plain;
          plain.reference_only = true;
          const auto pool = std::make_shared<ThreadPool>(1);
          auto session = Session::create(graph, pool), reference = Session::create(graph, pool, plain);
          ASSERT_TRUE(session.ok() && reference.ok());
          const auto got = session->run(inputs), wanted = reference->run(inputs);
          ASSERT_TRUE(got.ok() && wanted.ok());
          for (const auto& [name, tensor] : *wanted)
            EXPECT_LT(distance(got->at(name), tensor), 1e-4) << direction << name;
          std::map<std::string, Shape> shapes;
          for (const auto& [name, tensor] : inputs) shapes[name] = tensor.shape();
          EXPECT_EQ(session->plan_info(shapes)->steps.at(0).kernel, "recurrent");
        }
}

TEST(Recurrent, WhatItDoesNotDoThePlainBackendDoes) {
  ir::Graph graph = recurrent(ir::Op::LSTM, "forward", false, 0);
  graph.nodes()[0]->attrs["clip"] = 0.5F;
  auto session = Session::create(graph, std::make_shared<ThreadPool>(1));
  ASSERT_TRUE(session.ok());
  const auto info = session->plan_info({{"x", {kSteps, kBatch, kInput}}});
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->steps.at(0).kernel, "reference");
}

}  // namespace
}  // namespace narrow::runtime
