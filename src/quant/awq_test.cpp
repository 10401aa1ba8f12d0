// Scales by what channels carry: the graph computes what it did, and its weight-only build comes nearer to
// it.
#include "quant/awq.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "data/test_samples.h"
#include "quant/apply.h"
#include "quant/plan_formats.h"
#include "quant/sampled_rows.h"
#include "quant/smooth.h"
#include "runtime/reference/reference.h"
#include "runtime/test_graphs.h"

namespace narrow::quant {
namespace {

/// A normalisation whose channels are read by two products, and a gated unit.
constexpr const char* kBlock = R"(graph g(%x: f32[N,64]) {
  @two: f32[] = [2]
  @last: s64[1] = [-1]
  @eps: f32[] = [1e-05]
  @gamma: f32[64] = blob 0 256
  @w1: f32[64,32] = blob 1024 8192
  @w3: f32[64,32] = blob 16384 8192
  @w2: f32[32,48] = blob 32768 6144
  %q = Pow(%x, @two)
  %e = ReduceMean(%q, @last) {keepdims=1}
  %f = Add(%e, @eps)
  %r = Sqrt(%f)
  %d = Div(%x, %r)
  %n = Mul(%d, @gamma)
  %g = MatMul(%n, @w1)
  %s = Sigmoid(%g)
  %h = Mul(%g, %s)
  %u = MatMul(%n, @w3)
  %p = Mul(%h, %u)
  %y = MatMul(%p, @w2)
  return %y as "y"
}
)";
constexpr int64_t kSamples = 48;

/// Every eighth channel is 12 times as large as the others.
TensorMap salient_inputs() {
  Random random(4);
  Tensor x = Tensor::allocate(DType::f32, {kSamples, 64});
  size_t i = 0;
  for (float& v : x.mutable_data<float>()) v = static_cast<float>(random.normal() * (i++ % 8 == 3 ? 12 : 1));
  return {{"x", x}};
}

std::vector<float> answers(const ir::Graph& graph, const TensorMap& inputs) {
  const auto outputs = runtime::reference::run(graph, inputs);
  EXPECT_TRUE(outputs.ok()) << (outputs.ok() ? "" : outputs.error().message());
  return outputs.ok() ? to_floats(outputs->at("y")) : std::vector<float>();
}

double squared_distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i)
    sum += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
  return sum;
}

/// Of the build in groups, by running it.
double error_of_build(const ir::Graph& graph, const GroupOptions& options, const TensorMap& inputs,
                      const std::vector<float>& wanted) {
  const auto quantized = apply(graph, plan_weight_only(graph, nullptr, options));
  EXPECT_TRUE(quantized.ok()) << (quantized.ok() ? "" : quantized.error().message());
  return squared_distance(answers(*quantized, inputs), wanted);
}

std::map<std::string, Tensor> rows_of(const ir::Graph& graph, const TensorMap& inputs) {
  auto rows = sample_rows(graph, values_to_smooth(graph), data::Samples(inputs),
                          std::make_shared<ThreadPool>(2), {.samples = kSamples, .batch = 8, .rows = 512});
  EXPECT_TRUE(rows.ok()) << (rows.ok() ? "" : rows.error().message());
  return std::move(rows).value();
}

TEST(Awq, KeepsTheFunctionAndLowersTheBuildsError) {
  const TensorMap inputs = salient_inputs();
  for (const GroupOptions& options :
       {GroupOptions{.bits = 4, .group_size = 32}, GroupOptions{.bits = 3, .group_size = 16},
        GroupOptions{.bits = 3, .group_size = 0}}) {
    ir::Graph graph = testing_graphs::graph_from(kBlock);
    const std::vector<float> wanted = answers(graph, inputs);
    const double before = error_of_build(graph, options, inputs, wanted);
    const auto report = awq(graph, rows_of(graph, inputs), {.groups = options});
    ASSERT_TRUE(report.ok()) << report.error().message();
    ASSERT_FALSE(report->groups.empty());
    EXPECT_FALSE(report->note.empty());
    // The function: sums of up to 64 products err by 65 eps of the sum of their magnitudes, which is at most
    // sqrt(64) times the largest result here (normal numbers: signs cancel), in each of three layers.
    const std::vector<float> now = answers(graph, inputs);
    float largest = 0;
    for (const float y : wanted) largest = std::max(largest, std::fabs(y));
    for (size_t i = 0; i < wanted.size(); ++i)
      EXPECT_NEAR(now[i], wanted[i], 3 * 65 * 6e-8 * 8 * static_cast<double>(largest)) << i;
    EXPECT_LT(error_of_build(graph, options, inputs, wanted), 0.8 * before);
    for (const AwqGroup& group : report->groups) {
      EXPECT_LT(group.error_after, group.error_before);
      EXPECT_LT(group.smallest, group.largest);
    }
  }
}

/// The reported error is that of the first group's products, by running the original and the rounded weights.
TEST(Awq, ReportsTheErrorOfTheProducts) {
  const char* text = R"(graph g(%x: f32[N,64]) {
  @gamma: f32[64] = blob 0 256
  @w: f32[64,32] = blob 1024 8192
  %n = Mul(%x, @gamma)
  %a = Relu(%n)
  %y = MatMul(%a, @w)
  return %y as "y"
}
)";
  ir::Graph graph = testing_graphs::graph_from(text);
  const TensorMap inputs = salient_inputs();
  const GroupOptions options{.bits = 3, .group_size = 32};
  const std::vector<float> wanted = answers(graph, inputs);
  double power = 0;
  for (const float y : wanted) power += static_cast<double>(y) * static_cast<double>(y);
  const double before = error_of_build(graph, options, inputs, wanted) / power;
  const auto report = awq(graph, rows_of(graph, inputs), {.groups = options});
  ASSERT_TRUE(report.ok()) << report.error().message();
  ASSERT_EQ(report->groups.size(), 1U);
  const double after = error_of_build(graph, options, inputs, wanted) / power;
  EXPECT_NEAR(report->groups[0].error_before, before, 1e-3 * before);
  EXPECT_NEAR(report->groups[0].error_after, after, 1e-2 * after);
}

TEST(Awq, LeavesAloneWhatItHasNoRowsOf) {
  ir::Graph graph = testing_graphs::graph_from(kBlock);
  const TensorMap inputs = salient_inputs();
  const std::vector<float> wanted = answers(graph, inputs);
  const auto report = awq(graph, {});
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->groups.empty());
  EXPECT_EQ(answers(graph, inputs), wanted);
}

}  // namespace
}  // namespace narrow::quant
