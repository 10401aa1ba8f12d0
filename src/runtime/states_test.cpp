#include "runtime/states.h"

#include <gtest/gtest.h>

#include "runtime/session.h"
#include "runtime/test_graphs.h"

namespace narrow::runtime {
namespace {

ir::Graph accumulator() {
  return testing_graphs::graph_from(R"(graph g(%x: f32[N,2], %h: f32[1,B,2]) {
    %s = Add(%x, %h)
    return %s as "h_out"
  })");
}

TEST(CarriedStates, StartAsZerosAndFollowTheOutputs) {
  const ir::Graph graph = accumulator();
  auto states = CarriedStates::create({{"h", "h_out"}}, ir::interface_of(graph));
  ASSERT_TRUE(states.ok()) << states.error().message();
  auto session = Session::create(graph, std::make_shared<ThreadPool>(1));
  ASSERT_TRUE(session.ok());
  float total = 0;
  for (int step = 1; step <= 4; ++step) {
    const TensorMap inputs = states->with({{"x", Tensor::of<float>({1, 2}, {static_cast<float>(step), 0})}});
    EXPECT_EQ(inputs.at("h").shape(), (Shape{1, 1, 2}));
    EXPECT_EQ(inputs.at("h").data<float>()[0], total);
    const auto outputs = session->run(inputs);
    ASSERT_TRUE(outputs.ok()) << outputs.error().message();
    states->take(*outputs);
    total += static_cast<float>(step);
  }
  EXPECT_EQ(states->with({}).at("h").data<float>()[0], 10);
}

TEST(CarriedStates, NamesMustBeTheModels) {
  const ir::Interface model = ir::interface_of(accumulator());
  EXPECT_FALSE(CarriedStates::create({{"nobody", "h_out"}}, model).ok());
  EXPECT_FALSE(CarriedStates::create({{"h", "nobody"}}, model).ok());
  EXPECT_TRUE(CarriedStates::create({}, model).ok());
}

}  // namespace
}  // namespace narrow::runtime
