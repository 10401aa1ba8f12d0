#include "pipeline/mix_problem.h"

#include <gtest/gtest.h>

#include "data/test_samples.h"
#include "pipeline/layer_costs.h"
#include "quant/layer_bytes.h"
#include "quant/plan_formats.h"
#include "runtime/test_graphs.h"

namespace narrow::pipeline {
namespace {

using quant::NodeFormat;
using search::Carrier;
using search::Mix;

ir::Graph graph() {
  return testing_graphs::graph_from(R"(graph g(%x: f32[N,48]) {
  @w: f32[48,64] = blob 0 12288
  @v: f32[64,32] = blob 12288 8192
  @u: f32[64,32] = blob 20480 8192
  %a: f32[N,64] = MatMul(%x, @w) "first"
  %r = Relu(%a)
  %b: f32[N,32] = MatMul(%r, @v) "left"
  %c: f32[N,32] = MatMul(%r, @u) "right"
  %y = Add(%b, %c)
  return %y as "y"
}
)");
}

/// Three builds of graph(), with times that are given.
struct Case {
  ir::Graph fp32 = graph();
  calib::Profile profile;
  data::Samples calib{testing_graphs::inputs_for(fp32, 3, 4)};
  std::map<std::string, Shape> shapes = {{"x", {1, 48}}};
  Quantized int8;
  std::vector<verify::LayerReport> reports;
  std::vector<search::MixLayer> layers;
  LayerNoise noise;
  MixInput input{fp32, profile, calib, shapes, int8, reports, {}};

  Case() {
    for (const char* name : {"x", "a", "r", "b", "c", "y"})
      profile.values[name].histogram.add(std::vector<float>{-2, 1, 3});
    int8.recipe = *quant::plan(fp32, &profile, quant::Precision::int8, {});
    layers = mix_layers(fp32, int8.recipe, {});
    const quant::PlanOptions options{.ranges = {}, .group_size = 16};
    quant::Recipe int4 =
        *quant::plan(fp32, &profile, quant::Precision::int4, options, {{"b", {.reason = "wide"}}});
    input.builds.push_back(
        {.format = NodeFormat::fp32, .ms = {{"first", 5}, {"left", 3}, {"right", 2}}, .holds = true});
    input.builds.push_back({.format = NodeFormat::int8,
                            .recipe = int8.recipe,
                            .ms = {{"first", 1}, {"left", 1.5}, {"right", 0.5}},
                            .noise = 0.1});
    input.builds.push_back({.format = NodeFormat::int4,
                            .recipe = std::move(int4),
                            .ms = {{"first", 6}, {"left", 3}, {"right", 2}},
                            .noise = 0.3});
    noise.of[NodeFormat::int8] = {0.05, 0.03, 0.02};
    noise.of[NodeFormat::int4] = {0.2, 0, 0.1};
  }

  Result<search::MixProblem> problem(Objective objective) const {
    return make_mix_problem(input, layers, noise, pinned_casts(), objective);
  }
};

TEST(MixProblem, LayersHaveTheFormatsThatTheirBuildsGaveThem) {
  const Case c;
  const auto problem = c.problem(Objective::latency);
  ASSERT_TRUE(problem.ok()) << problem.error().message();
  ASSERT_EQ(problem->layers.size(), 3U);
  for (size_t l = 0; l < 3; ++l)
    EXPECT_EQ(problem->layers[l].node, (std::array{"first", "left", "right"}[l]));
  EXPECT_EQ(problem->layers[0].choices.size(), 3U);
  EXPECT_EQ(problem->layers[1].choices.size(), 2U);  // it is wide in the int4 build
  const auto& int4 = problem->layers[2].choices[2];
  EXPECT_EQ(int4.format, NodeFormat::int4);
  EXPECT_EQ(int4.ms, 2);
  EXPECT_EQ(int4.noise, 0.1);
  // 64 x 32 codes of 4 bits; 4 groups a column, each with an FP16 scale and a zero point of 4 bits.
  EXPECT_EQ(int4.bytes, 64 * 32 / 2 + 4 * 32 * 2.5);
  EXPECT_EQ(problem->layers[0].choices[0].bytes, 4 * 48 * 64);
}

TEST(MixProblem, EveryReaderOfAValueIsAnEdge) {
  const Case c;
  const auto problem = c.problem(Objective::latency);
  ASSERT_TRUE(problem.ok());
  ASSERT_EQ(problem->edges.size(), 2U);
  for (size_t e = 0; e < 2; ++e) {
    EXPECT_EQ(problem->edges[e].from, 0U);
    EXPECT_EQ(problem->edges[e].to, e + 1);
    const auto& u8 = problem->edges[e].ms[static_cast<size_t>(Carrier::u8)];
    EXPECT_DOUBLE_EQ(u8.leave, 2e-3 + 64 * 5e-7);
    EXPECT_DOUBLE_EQ(u8.enter, u8.leave);
  }
}

template <class Figure>
Mix least(const search::MixProblem& problem, const Figure& figure) {
  std::vector<size_t> choice(problem.layers.size(), 0);
  Mix best = search::price(problem, choice);
  while (true) {
    Mix mix = search::price(problem, choice);
    if (figure(mix) < figure(best)) best = std::move(mix);
    size_t l = 0;
    while (l < choice.size() && ++choice[l] == problem.layers[l].choices.size()) choice[l++] = 0;
    if (l == choice.size()) return best;
  }
}

TEST(MixProblem, ObjectivesMinimiseWhatTheySay) {
  const Case c;
  for (const Objective objective :
       {Objective::latency, Objective::throughput, Objective::size, Objective::cost}) {
    const auto problem = c.problem(objective);
    ASSERT_TRUE(problem.ok()) << problem.error().message();
    const auto best = search::best_mix(*problem, 1e9);
    ASSERT_TRUE(best.ok());
    const auto figure = [&](const Mix& mix) {
      return objective == Objective::size   ? mix.bytes
             : objective == Objective::cost ? mix.ms * mix.bytes
                                            : mix.ms;
    };
    EXPECT_NEAR(figure(*best), figure(least(*problem, figure)), 1e-4 * figure(*best)) << to_string(objective);
  }
}

bench::StepProfile step(const char* node, const char* op, double ms) {
  bench::StepProfile step;
  step.choice.node = node;
  step.choice.op = op;
  step.ms = ms;
  return step;
}

TEST(LayerTimes, StepsBetweenLayersBelongToTheOneBeforeAndScaledRowsToTheOneBehind) {
  bench::Profile profile;
  profile.steps = {step("q", "QuantizeLinear", 100),
                   step("first", "FusedMatMul", 1),
                   step("r", "Relu", 2),
                   step("rows", "QuantizeRows", 4),
                   step("left", "FusedMatMul", 8),
                   step("c", "Cast", 100),
                   step("right", "FusedMatMul", 16),
                   step("y", "Add", 32)};
  const auto times = layer_times(profile, {{"a", "first"}, {"b", "left"}, {"c", "right"}});
  EXPECT_EQ(times, (std::map<std::string, double>{{"first", 3}, {"left", 12}, {"right", 48}}));
}

}  // namespace
}  // namespace narrow::pipeline
