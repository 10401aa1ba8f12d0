// Reductions over axes side by side by kernels, over others in plain loops; all as the plain backend has it.
#include <gtest/gtest.h>

#include "ir/schema.h"
#include "ir/text.h"
#include "runtime/session.h"
#include "runtime/test_graphs.h"

namespace narrow::runtime {
namespace {

struct AxesCase {
  std::vector<int64_t> axes;  // empty: no input, so all
  std::string kernel;
};

ir::Graph reduction(ir::Op op, const std::vector<int64_t>& axes, int64_t keepdims) {
  ir::Graph graph;
  std::vector<ir::Value*> inputs = {graph.add_input("x", ir::TensorType::of(DType::f32, {2, 5, 1, 7, 9}))};
  if (!axes.empty())
    inputs.push_back(
        graph.add_constant("axes", Tensor::of<int64_t>({static_cast<int64_t>(axes.size())}, axes)));
  graph.add_output("y", graph.add_node(op, inputs, {"y"}, {{"keepdims", keepdims}})->output());
  EXPECT_TRUE(ir::infer_types(graph).ok());
  return graph;
}

TEST(ReduceKernels, LikeThePlainBackendWhateverTheAxes) {
  const std::vector<AxesCase> cases = {
      {{}, "reduce"},         {{0}, "reduce"},       {{1}, "reduce"}, {{-1}, "reduce"},
      {{3, 1}, "reduce"},  // what lies between has 1 element
      {{-1, 0}, "reference"}, {{1, 4}, "reference"}, {{2}, "reduce"}, {{0, 1, 2}, "reduce"}};
  const auto pool = std::make_shared<ThreadPool>(2);
  SessionOptions plain;
  plain.reference_only = true;
  for (const ir::Op op : {ir::Op::ReduceSum, ir::Op::ReduceMean, ir::Op::ReduceMax, ir::Op::ReduceMin,
                          ir::Op::ReduceL1, ir::Op::ReduceL2, ir::Op::ReduceSumSquare})
    for (const AxesCase& c : cases)
      for (const int64_t keepdims : {0, 1}) {
        const ir::Graph graph = reduction(op, c.axes, keepdims);
        const TensorMap inputs = testing_graphs::inputs_for(graph, 5);
        auto session = Session::create(graph, pool), reference = Session::create(graph, pool, plain);
        ASSERT_TRUE(session.ok() && reference.ok());
        const auto got = session->run(inputs), wanted = reference->run(inputs);
        ASSERT_TRUE(got.ok() && wanted.ok());
        SCOPED_TRACE(ir::print(graph));
        EXPECT_EQ(got->at("y").shape(), wanted->at("y").shape());
        EXPECT_LT(testing_graphs::distance(got->at("y"), wanted->at("y")), 1e-6);
        const auto info = session->plan_info({{"x", {2, 5, 1, 7, 9}}});
        ASSERT_TRUE(info.ok());
        for (const StepChoice& step : info->steps)
          EXPECT_TRUE(step.op != ir::to_string(op) || step.kernel == c.kernel) << step.kernel;
      }
}

}  // namespace
}  // namespace narrow::runtime
