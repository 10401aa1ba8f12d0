#include "quant/smooth.h"

#include <gmock/gmock.h>

#include "base/random.h"
#include "quant/sampled_rows.h"
#include "quant/scale_test_graphs.h"
#include "quant/test_answers.h"

namespace narrow::quant {
namespace {

/// A normalisation whose gain makes two of 16 channels `outlier` times as large as the others, and two
/// products whose weights make them as small again.
ir::Graph with_outliers(float outlier) {
  ir::Graph graph = testing_graphs::graph_from(R"(graph g(%x: f32[N,5,16]) {
  @gain: f32[16] = [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]
  @shift: f32[16] = blob 0 64
  @v: f32[16,24] = blob 256 1536
  @w: f32[16,8] = blob 2048 512
  @u: f32[24,8] = blob 4096 768
  %n = LayerNormalization(%x, @gain, @shift) {axis=-1}
  %p = MatMul(%n, @v) "up"
  %q = MatMul(%n, @w) "side"
  %r = Relu(%p)
  %d = MatMul(%r, @u) "down"
  %y = Add(%d, %q)
  return %y as "y"
}
)");
  for (const char* name : {"v", "w"}) {
    Tensor weights = graph.find_value(name)->constant().clone();
    const auto results = static_cast<size_t>(weights.dim(1));
    for (const size_t row : {size_t{3}, size_t{11}})
      for (float& x : weights.mutable_data<float>().subspan(row * results, results)) x /= outlier;
    graph.set_constant(graph.find_value(name), weights);
  }
  Tensor gain = graph.find_value("gain")->constant().clone();
  gain.mutable_data<float>()[3] = gain.mutable_data<float>()[11] = outlier;
  graph.set_constant(graph.find_value("gain"), gain);
  return graph;
}

struct Smoothed {
  ir::Graph before, after;
  TensorMap calibration;
  SmoothReport report;
};

Smoothed smoothed(float outlier) {
  Smoothed done{with_outliers(outlier), with_outliers(outlier), {}, {}};
  done.calibration = testing_graphs::inputs_for(done.before, 1, 16);
  const auto rows = sample_rows(done.before, values_to_smooth(done.before), data::Samples(done.calibration),
                                std::make_shared<ThreadPool>(2));
  EXPECT_TRUE(rows.ok());
  auto report = smooth(done.after, *rows);
  EXPECT_TRUE(report.ok());
  done.report = std::move(report).value();
  return done;
}

TEST(Smooth, ValuesAreThoseThatProductsRead) {
  EXPECT_THAT(values_to_smooth(with_outliers(1)), testing::UnorderedElementsAre("n", "r"));
}

TEST(Smooth, OutliersGoIntoTheWeights) {
  const Smoothed done = smoothed(60);
  ASSERT_FALSE(done.report.groups.empty());
  const SmoothedGroup& group = done.report.groups[0];
  EXPECT_THAT(group.consumers, testing::UnorderedElementsAre("up", "side"));
  EXPECT_EQ(group.channels, 16);
  EXPECT_GT(group.alpha, 0);
  EXPECT_GT(group.sqnr_after, group.sqnr_before + 3);
  EXPECT_THAT(done.report.note, testing::HasSubstr("smoothed"));
  // The same function up to FP32's rounding, and less lost in int8.
  const TensorMap inputs = testing_graphs::inputs_for(done.before, 2, 16);
  const std::vector<float> wanted = answers(done.before, inputs);
  EXPECT_GT(sqnr(wanted, answers(done.after, inputs)), 110);
  EXPECT_GT(int8_sqnr(done.after, done.calibration, inputs, wanted),
            int8_sqnr(done.before, done.calibration, inputs, wanted));
}

/// Every group's estimate is of what it would be with all factors 1: it never rises.
TEST(Smooth, NothingIsMadeWorseByItsOwnEstimate) {
  for (const float outlier : {1.0F, 4.0F, 200.0F})
    for (const SmoothedGroup& group : smoothed(outlier).report.groups)
      EXPECT_GT(group.sqnr_after, group.sqnr_before);
}

}  // namespace
}  // namespace narrow::quant
