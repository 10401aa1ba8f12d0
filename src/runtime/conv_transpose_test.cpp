// conv_transpose_to_conv against the plain backend's ConvTranspose.
#include <gtest/gtest.h>

#include "ir/schema.h"
#include "passes/list.h"
#include "runtime/reference/reference.h"
#include "runtime/session.h"
#include "runtime/test_graphs.h"

namespace narrow::runtime {
namespace {

struct Case {
  int64_t kernel_h, kernel_w, stride, group;
  std::vector<int64_t> pads, extra;
  int64_t height = 5;  // of the image; 1: a sequence, whose columns alone have a stride
};

ir::Graph transposed(const Case& c) {
  ir::Graph types, graph;
  types.add_input("w", ir::TensorType::of(DType::f32, {4, 3, c.kernel_h, c.kernel_w}));
  types.add_input("b", ir::TensorType::of(DType::f32, {3 * c.group}));
  const TensorMap parameters = testing_graphs::inputs_for(types, 1);
  ir::Value* x = graph.add_input("x", ir::TensorType::of(DType::f32, {2, 4, c.height, 3}));
  ir::Node* node = graph.add_node(
      ir::Op::ConvTranspose,
      {x, graph.add_constant("w", parameters.at("w")), graph.add_constant("b", parameters.at("b"))}, {"y"},
      {{"strides", std::vector<int64_t>{c.height == 1 ? 1 : c.stride, c.stride}},
       {"pads", c.pads},
       {"output_padding", c.extra},
       {"group", c.group}});
  graph.add_output("y", node->output());
  EXPECT_TRUE(ir::infer_types(graph).ok());
  return graph;
}

TEST(ConvTransposeToConv, AnswersAsTheLayerItReplaces) {
  for (const Case& c : std::vector<Case>{{2, 2, 2, 1, {0, 0, 0, 0}, {0, 0}},
                                         {4, 4, 2, 1, {1, 1, 1, 1}, {0, 0}},
                                         {3, 3, 2, 1, {1, 1, 1, 1}, {1, 1}},
                                         {3, 5, 2, 2, {0, 2, 1, 1}, {0, 1}},
                                         {4, 4, 2, 4, {1, 1, 1, 1}, {0, 0}},
                                         {3, 3, 1, 1, {1, 1, 0, 2}, {0, 0}},
                                         {1, 2, 3, 1, {0, 0, 0, 0}, {0, 0}},
                                         {7, 3, 3, 2, {3, 0, 2, 1}, {1, 0}},
                                         {1, 4, 2, 1, {0, 1, 0, 1}, {0, 0}, 1},
                                         {1, 5, 3, 2, {0, 2, 0, 1}, {0, 1}, 1}}) {
    SCOPED_TRACE(testing::Message() << c.kernel_h << "x" << c.kernel_w << " stride " << c.stride << " group "
                                    << c.group);
    const ir::Graph graph = transposed(c);
    const TensorMap inputs = testing_graphs::inputs_for(graph, 2);
    const auto wanted = reference::run(graph, inputs);
    ASSERT_TRUE(wanted.ok()) << wanted.error().message();
    ir::Graph rewritten = graph.clone();
    const auto count = passes::conv_transpose_to_conv(rewritten, {});
    ASSERT_TRUE(count.ok()) << count.error().message();
    ASSERT_EQ(*count, 1);
    rewritten.remove_dead();
    ASSERT_TRUE(ir::infer_types(rewritten).ok());
    const auto plain = reference::run(rewritten, inputs);
    ASSERT_TRUE(plain.ok()) << plain.error().message();
    EXPECT_LT(testing_graphs::distance(plain->at("y"), wanted->at("y")), 1e-5);
    auto session = Session::create(rewritten, std::make_shared<ThreadPool>(1));
    ASSERT_TRUE(session.ok());
    const auto got = session->run(inputs);
    ASSERT_TRUE(got.ok()) << got.error().message();
    EXPECT_LT(testing_graphs::distance(got->at("y"), wanted->at("y")), 1e-5);
  }
}

}  // namespace
}  // namespace narrow::runtime
