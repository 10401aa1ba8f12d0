// DepthToSpace and SpaceToDepth as strided copies, channels first and last, against the plain backend.
#include <gtest/gtest.h>

#include "ir/schema.h"
#include "runtime/session.h"
#include "runtime/test_graphs.h"

namespace narrow::runtime {
namespace {

/// The op alone lies as the model has it; between two convolutions channels are last.
ir::Graph blocks(ir::Op op, const std::string& mode, bool between) {
  ir::Graph graph;
  ir::Value* v = graph.add_input("x", ir::TensorType::of(DType::f32, {2, 12, 4, 6}));
  const auto convolve = [&](const char* name, int64_t channels) {
    ir::Graph types;
    types.add_input("w", ir::TensorType::of(DType::f32, {channels, channels, 1, 1}));
    ir::Value* w = graph.add_constant("w", testing_graphs::inputs_for(types, 3).at("w"));
    v = graph.add_node(ir::Op::Conv, {v, w}, {name})->output();
  };
  if (between) convolve("before", 12);
  v = graph.add_node(op, {v}, {"moved"}, {{"blocksize", int64_t{2}}, {"mode", mode}})->output();
  if (between) convolve("behind", op == ir::Op::DepthToSpace ? 3 : 48);
  graph.add_output("y", v);
  EXPECT_TRUE(ir::infer_types(graph).ok());
  return graph;
}

TEST(Blocks, MoveAsInThePlainBackend) {
  for (const ir::Op op : {ir::Op::DepthToSpace, ir::Op::SpaceToDepth})
    for (const char* mode : {"DCR", "CRD"})
      for (const bool between : {false, true}) {
        const ir::Graph graph = blocks(op, mode, between);
        const TensorMap inputs = testing_graphs::inputs_for(graph, 5);
        SessionOptions plain;
        plain.reference_only = true;
        const auto pool = std::make_shared<ThreadPool>(1);
        auto session = Session::create(graph, pool), reference = Session::create(graph, pool, plain);
        ASSERT_TRUE(session.ok() && reference.ok());
        const auto got = session->run(inputs), wanted = reference->run(inputs);
        ASSERT_TRUE(got.ok() && wanted.ok());
        EXPECT_LT(testing_graphs::distance(got->at("y"), wanted->at("y")), between ? 1e-4 : 1e-30) << mode;
        const auto info = session->plan_info({{"x", {2, 12, 4, 6}}});
        ASSERT_TRUE(info.ok());
        for (const StepChoice& step : info->steps)
          EXPECT_NE(step.kernel, "reference") << step.op << " " << mode;
      }
}

}  // namespace
}  // namespace narrow::runtime
