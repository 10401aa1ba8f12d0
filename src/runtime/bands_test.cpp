#include "runtime/bands.h"

#include <gtest/gtest.h>

#include "runtime/test_graphs.h"

namespace narrow::runtime {
namespace {

/// 3x3 with stride 2, behind 3x3 and 1x1, which all read a frame of padding but the last.
ir::Graph chain() {
  return testing_graphs::graph_from(R"(graph g(%x: f32[1,21,8,4]) {
  @w: f32[4,4,3,3] = blob 0 576
  @v: f32[4,4,1,1] = blob 0 64
  %a: f32[1,21,8,4] = FusedConv(%x, @w) {channels_last=1, pads=[1,1,1,1]}
  %b: f32[1,21,8,4] = FusedConv(%a, @v) {channels_last=1}
  %c: f32[1,11,4,4] = FusedConv(%b, @w) {channels_last=1, pads=[1,1,1,1], strides=[2,2]}
  %d: f32[1,21,8,4] = Add(%a, %b)
  return %c as "c", %d as "d"
}
)");
}

/// Every row is made once, in order, and what a step reads is made, and kept, before it.
TEST(Bands, MakeEveryRowOnceBeforeItIsRead) {
  const ir::Graph graph = chain();
  const std::vector<ir::Node*> order = graph.nodes();
  for (const int64_t bands : {2, 3, 5}) {
    SCOPED_TRACE(bands);
    const Section section{.first = 0, .end = order.size(), .images = 1, .bands = bands};
    const BandPlan plan = plan_bands(graph, order, section);
    ASSERT_EQ(plan.bands.size(), static_cast<size_t>(bands));
    std::map<const ir::Value*, int64_t> made;
    for (size_t band = 0; band < plan.bands.size(); ++band)
      for (size_t k = 0; k < order.size(); ++k) {
        const BandStep& step = plan.bands[band][k];
        const ir::Value* output = order[k]->output();
        EXPECT_EQ(step.out.first, made[output]);
        EXPECT_GE(step.out.end, step.out.first);
        made[output] = step.out.end;
        EXPECT_EQ(plan.held.at(output)[band].end, step.out.end);
        for (size_t i = 0; i < order[k]->inputs().size(); ++i) {
          const ir::Value* input = order[k]->inputs()[i];
          if (input->is_constant() || input->producer() == nullptr || step.out.count() == 0) continue;
          EXPECT_LE(step.in[i].end, made[input]) << k << " " << i;
          EXPECT_GE(step.in[i].first, plan.held.at(input)[band].first) << k << " " << i;
          EXPECT_GT(step.in[i].count(), 0);
        }
      }
    for (const auto& [value, rows] : made) EXPECT_EQ(rows, value->type.dims[1].value) << value->name;
  }
}

TEST(Bands, KeepOnlyWhatWindowsReachBackTo) {
  const ir::Graph graph = chain();
  const std::vector<ir::Node*> order = graph.nodes();
  const BandPlan plan = plan_bands(graph, order, {.first = 0, .end = order.size(), .images = 1, .bands = 5});
  // A fifth of the rows, those that a window reaches back to, and the patch of four rows they end in.
  for (const Rows& rows : plan.held.at(order[1]->output())) EXPECT_LE(rows.count(), 5 + 2 + 4);
}

/// The window of a row of output, with padding where it leaves the image.
TEST(Bands, PadAtTheEdgesOfTheImageOnly) {
  const ir::Graph graph = chain();
  const std::vector<ir::Node*> order = graph.nodes();
  const BandPlan plan = plan_bands(graph, order, {.first = 0, .end = order.size(), .images = 1, .bands = 3});
  for (size_t band = 0; band < 3; ++band) {
    const BandStep& step = plan.bands[band][2];
    EXPECT_EQ(step.pad_top, band == 0 ? 1 : 0);
    EXPECT_EQ(step.pad_bottom, band == 2 ? 1 : 0);
    EXPECT_EQ(step.in[0].count() + step.pad_top + step.pad_bottom, (step.out.count() - 1) * 2 + 3);
    const ir::Graph alone = band_graph(*order[2], step);
    const ir::Node* node = alone.nodes().front();
    EXPECT_EQ(node->ints_attr("pads"), (std::vector<int64_t>{step.pad_top, 1, step.pad_bottom, 1}));
    EXPECT_EQ(node->output()->type.dims[1].value, step.out.count());
    EXPECT_EQ(node->input(0)->type.dims[1].value, step.in[0].count());
    EXPECT_EQ(node->output()->name, order[2]->output()->name);
  }
}

TEST(Bands, TakeNoStepThatLooksAtAllRows) {
  const ir::Graph graph = testing_graphs::graph_from(R"(graph g(%x: f32[1,8,8,4]) {
  @w: f32[4,4,3,3] = blob 0 576
  @rows: f32[8,1,1] = [1,2,3,4,5,6,7,8]
  @pixel: f32[4] = [1,2,3,4]
  %a: f32[1,1,1,4] = GlobalAveragePool(%x) {channels_last=1}
  %b: f32[1,8,8,4] = Mul(%x, %a)
  %c: f32[1,8,8,4] = Mul(%x, @rows)
  %d: f32[1,8,8,4] = Mul(%x, @pixel)
  %e: f32[1,8,8,4] = AveragePool(%x) {channels_last=1, kernel_shape=[3,3], pads=[1,1,1,1]}
  %f: f32[1,8,8,4] = Transpose(%x) {perm=[0,2,1,3]}
  %g: f32[1,16,8,4] = Concat(%x, %x) {axis=1}
  %h: f32[1,8,8,8] = Concat(%x, %x) {axis=3}
  return %b as "b", %c as "c", %d as "d", %e as "e", %f as "f", %g as "g", %h as "h"
}
)");
  std::map<std::string, bool> can;
  for (const ir::Node* node : graph.nodes()) can[node->output()->name] = can_band(*node);
  EXPECT_EQ(can, (std::map<std::string, bool>{{"a", false},
                                              {"b", false},
                                              {"c", false},
                                              {"d", true},
                                              {"e", false},
                                              {"f", false},
                                              {"g", false},
                                              {"h", true}}));
}

}  // namespace
}  // namespace narrow::runtime
