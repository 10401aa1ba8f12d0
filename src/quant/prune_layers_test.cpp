// Pruning a small network: what stays dense, what the answers lose, and that rounding keeps the zeros.
#include "quant/prune_layers.h"

#include <gtest/gtest.h>

#include <cmath>

#include "calib/calibrate.h"
#include "data/test_samples.h"
#include "quant/apply.h"
#include "quant/layer_weights.h"
#include "quant/plan_formats.h"
#include "quant/regions.h"
#include "quant/sequential_rounding.h"
#include "runtime/reference/reference.h"
#include "runtime/test_graphs.h"

namespace narrow::quant {
namespace {

using testing_graphs::graph_from;

/// A first layer, a depthwise one, two that share their weights, a residual, and three to prune.
const char* const kNetwork = R"(graph g(%x: f32[N,4,8,8]) {
  @w1: f32[8,4,3,3] = blob 0 1152
  @wd: f32[8,1,3,3] = blob 1152 288
  @ws: f32[8,8,1,1] = blob 1472 256
  @w3: f32[8,8,3,3] = blob 2048 2304
  @w4: f32[12,8,3,3] = blob 4352 3456
  @w5: f32[6,12,1,1] = blob 7808 288
  @b: f32[8] = blob 8128 32
  @b12: f32[12] = blob 8192 48
  %a = Conv(%x, @w1, @b) {pads=[1,1,1,1]}
  %r = Relu(%a)
  %d = Conv(%r, @wd) {group=8, pads=[1,1,1,1]}
  %c = Conv(%d, @ws, @b)
  %e = Conv(%c, @ws, @b)
  %f = Relu(%e)
  %g = Conv(%f, @w3, @b) {pads=[1,1,1,1]}
  %h = Add(%g, %r)
  %i = Relu(%h)
  %j = Conv(%i, @w4, @b12) {pads=[1,1,1,1]}
  %k = Relu(%j)
  %y = Conv(%k, @w5)
  return %y as "y"
})";

struct Scene {
  ir::Graph graph = graph_from(kNetwork);
  data::Samples samples{testing_graphs::inputs_for(graph, 3, 24)};
  std::shared_ptr<ThreadPool> pool = std::make_shared<ThreadPool>(2);
};

PruneOptions options(bool by_loss, bool compensate) {
  PruneOptions o;
  o.by_loss = by_loss, o.compensate = compensate;
  o.pattern = {.n = 2, .m = 4};
  o.fewest = 0;
  return o;
}

std::vector<float> answers(const ir::Graph& graph, const Scene& s) {
  const auto input = s.samples.read(0, 24, *s.pool);
  const auto outputs = runtime::reference::run(graph, input->inputs);
  EXPECT_TRUE(outputs.ok()) << outputs.error().message();
  return to_floats(outputs->at("y"));
}

double squared_distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i)
    sum += (static_cast<double>(a[i]) - static_cast<double>(b[i])) *
           (static_cast<double>(a[i]) - static_cast<double>(b[i]));
  return sum;
}

/// Two of each four weights along the channels, at every position, are zero in `matrix` [k, n].
void expect_two_of_four(const std::vector<float>& matrix, int64_t n, const std::string& what) {
  for (size_t first = 0; first < matrix.size(); first += static_cast<size_t>(4 * n))
    for (size_t c = 0; c < static_cast<size_t>(n); ++c) {
      int zeros = 0;
      for (size_t i = 0; i < 4; ++i) zeros += matrix[first + i * static_cast<size_t>(n) + c] == 0 ? 1 : 0;
      EXPECT_GE(zeros, 2) << what;
    }
}

TEST(PruneLayers, SaysWhatStaysDense) {
  Scene s;
  const auto report = prune(s.graph, &s.samples, s.pool, options(true, true));
  ASSERT_TRUE(report.ok()) << report.error().message();
  const std::map<std::string, std::string> dense = {{"a", "reads the model's input"},
                                                    {"d", "depthwise"},
                                                    {"c", "shares its weights"},
                                                    {"e", "shares its weights"}};
  EXPECT_EQ(report->dense, dense);
  ASSERT_EQ(report->layers.size(), 3U);
  for (const PrunedLayer& layer : report->layers) {
    const ir::Node& node = *s.graph.find_value(layer.key)->producer();
    EXPECT_EQ(layer.counts.zeros * 2, layer.counts.weights) << layer.key;
    expect_two_of_four(matrix_of(node, 0), heavy_shape(node).n, layer.key);
  }
  EXPECT_EQ(report->total().weights, 8 * 72 + 12 * 72 + 6 * 12);
  PruneOptions large = options(true, true);
  large.fewest = 100;
  Scene other;
  EXPECT_EQ(prune(other.graph, &other.samples, other.pool, large)->dense.at("y"), "72 weights");
  large.pattern.m = 16;
  EXPECT_EQ(prune(other.graph, &other.samples, other.pool, large)->dense.at("j"),
            "8 channels are no multiple of 16");
}

/// The whole model, run by the reference: data and compensation help.
TEST(PruneLayers, AnswersLoseLess) {
  const Scene s;
  const std::vector<float> whole = answers(s.graph, s);
  const auto loss = [&](bool by_loss, bool compensate) {
    ir::Graph graph = s.graph.clone();
    EXPECT_TRUE(prune(graph, &s.samples, s.pool, options(by_loss, compensate)).ok());
    return squared_distance(answers(graph, s), whole);
  };
  const double smallest = loss(false, false), fitted = loss(false, true), by_loss = loss(true, true);
  EXPECT_LT(fitted, 0.8 * smallest);
  EXPECT_LT(by_loss, 0.8 * smallest);
}

TEST(PruneLayers, WithoutDataByMagnitude) {
  Scene s;
  const auto report = prune(s.graph, nullptr, s.pool, options(false, false));
  ASSERT_TRUE(report.ok());
  const Scene whole;
  for (const PrunedLayer& layer : report->layers) {
    const std::vector<float> now = matrix_of(*s.graph.find_value(layer.key)->producer(), 0),
                             before = matrix_of(*whole.graph.find_value(layer.key)->producer(), 0);
    for (size_t i = 0; i < now.size(); ++i) EXPECT_TRUE(now[i] == 0 || now[i] == before[i]);
  }
}

/// gptq of the pruned model, weight-only: zeros stay, answers come nearer to the original's than those of the
/// nearest codes, and their means are the original's: the correction is to the bias that pruning left.
TEST(PruneLayers, RoundingKeepsZerosAndMeans) {
  const Scene s;
  ir::Graph pruned = s.graph.clone();
  const auto report = prune(pruned, &s.samples, s.pool, options(true, true));
  ASSERT_TRUE(report.ok());
  const calib::Profile profile = *calib::calibrate(pruned, "m", s.samples, s.pool);
  PlanOptions channels;
  channels.group_size = 0;
  Recipe recipe = *plan(pruned, &profile, Precision::int3, channels);
  for (const PrunedLayer& layer : report->layers) recipe.pruned[layer.key] = layer.counts;
  const std::vector<float> whole = answers(s.graph, s), nearest = answers(*apply(pruned, recipe), s);
  SequentialOptions sequential;
  sequential.original = &s.graph;
  const auto rounded = round_sequentially(pruned, recipe, s.samples, s.pool, sequential);
  ASSERT_TRUE(rounded.ok()) << rounded.error().message();
  for (const PrunedLayer& layer : report->layers) {
    const ir::Node& node = *pruned.find_value(layer.key)->producer();
    const std::vector<float> real = to_floats(dequantize_groups(recipe.groups.at(layer.key)));
    const HeavyShape shape = heavy_shape(node);
    std::vector<float> matrix;
    for (int64_t k = 0; k < shape.k; ++k)
      for (int64_t n = 0; n < shape.n; ++n) matrix.push_back(real[static_cast<size_t>(shape.index(0, k, n))]);
    expect_two_of_four(matrix, shape.n, layer.key);
  }
  const std::vector<float> better = answers(*apply(pruned, recipe), s);
  EXPECT_LT(squared_distance(better, whole), squared_distance(nearest, whole));
  double power = 0;
  std::vector<double> shift(6, 0);  // y: [24, 6, 8, 8]
  for (size_t i = 0; i < whole.size(); ++i) {
    power += static_cast<double>(whole[i]) * static_cast<double>(whole[i]);
    shift[i / 64 % 6] += (static_cast<double>(better[i]) - static_cast<double>(whole[i])) / (24.0 * 64);
  }
  // Sums of 1536 floats that were rounded elsewhere in another order: a millionth of their size each.
  const double size = std::sqrt(power / static_cast<double>(whole.size()));
  for (const double d : shift) EXPECT_NEAR(d, 0, 1e-4 * size);
}

}  // namespace
}  // namespace narrow::quant
