#include "pipeline/mix_problem.h"

#include <gtest/gtest.h>

#include <set>

#include "data/test_samples.h"
#include "pipeline/layer_costs.h"
#include "quant/layer_bytes.h"
#include "quant/plan_formats.h"
#include "quant/test_encoder.h"
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
    layers = mix_layers(fp32, int8.recipe, shapes, {});
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
  ASSERT_EQ(problem->edges.size(), 3U);
  for (size_t e = 0; e < 2; ++e) {
    EXPECT_EQ(problem->edges[e].from, 0U);
    EXPECT_EQ(problem->edges[e].to, e + 1);
    EXPECT_EQ(problem->edges[e].value, problem->edges[0].value);
    const auto& u8 = problem->edges[e].ms[static_cast<size_t>(Carrier::u8)];
    EXPECT_DOUBLE_EQ(u8.leave, 2e-3 + 64 * 5e-7);
    EXPECT_DOUBLE_EQ(u8.enter, u8.leave);
  }
  // In the sum of both, what the first makes has the format of what the second makes.
  const search::MixEdge& sum = problem->edges[2];
  EXPECT_EQ(sum.from, 1U);
  EXPECT_EQ(sum.to, 2U);
  EXPECT_NE(sum.value, problem->edges[0].value);
  EXPECT_DOUBLE_EQ(sum.ms[static_cast<size_t>(Carrier::u8)].leave, 2e-3 + 32 * 5e-7);
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

/// Builds of an encoder in fp32, bf16 and int8 with times that are given: half takes half the time, integers
/// a quarter; norms and attention take a tenth of a product's.
struct EncoderCase {
  ir::Graph fp32;
  calib::Profile profile;
  data::Samples calib{testing_graphs::inputs_for(fp32, 3, 4)};
  std::map<std::string, Shape> shapes = {{"input", {1, 6, 8}}};
  Quantized int8;
  std::vector<verify::LayerReport> reports;
  std::vector<search::MixLayer> layers;
  LayerNoise noise;
  MixInput input{fp32, profile, calib, shapes, int8, reports, {}};

  explicit EncoderCase(bool primitive) : fp32(testing_graphs::encoder(primitive)) {
    for (const ir::Value* value : fp32.values())
      if (!value->is_constant()) profile.values[value->name].histogram.add(std::vector<float>{-2, 1, 3});
    int8.recipe = *quant::plan(fp32, &profile, quant::Precision::int8, {});
    layers = mix_layers(fp32, int8.recipe, shapes, {});
    add(NodeFormat::fp32, {}, 1);
    add(NodeFormat::int8, int8.recipe, 0.25);
    add(NodeFormat::bf16, *quant::plan(fp32, nullptr, quant::Precision::bf16, {}), 0.5);
    // Products of attention are too noisy in int8, those behind them are not.
    noise.of[NodeFormat::int8] = {0.002, 0, 0.4, 0.4, 0.4, 0, 0.4, 0, 0.001, 0.002, 0, 0.001};
    noise.of[NodeFormat::bf16] = std::vector<double>(layers.size(), 1e-3);
  }

  void add(NodeFormat format, quant::Recipe recipe, double speed) {
    UniformBuild build{.format = format, .recipe = std::move(recipe)};
    for (const search::MixLayer& layer : layers)
      build.ms[layer.node] = (is_float_unit(layer) ? 0.1 : 1) * speed;
    input.builds.push_back(std::move(build));
  }

  search::MixProblem problem(double cast_ms) const {
    CastRates casts;
    for (size_t c = 1; c < search::kCarriers; ++c) casts.enter[c] = casts.leave[c] = {cast_ms, 0};
    auto made = make_mix_problem(input, layers, noise, casts, Objective::latency);
    EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message());
    return std::move(made).value();
  }

  std::map<std::string, std::string> named(const Mix& mix) const {
    const search::MixProblem formats = problem(0);
    std::map<std::string, std::string> names;
    for (size_t l = 0; l < layers.size(); ++l)
      names[layers[l].key] = to_string(formats.layers[l].choices[mix.choice[l]].format);
    return names;
  }
};

TEST(MixProblem, NormsAndAttentionHaveNoIntegers) {
  for (const bool primitive : {false, true}) {
    const EncoderCase c(primitive);
    const auto problem = c.problem(0.01);
    std::vector<std::string> keys;
    for (const search::MixLayer& layer : problem.layers) {
      keys.push_back(layer.key);
      std::vector<NodeFormat> formats = {NodeFormat::fp32, NodeFormat::int8, NodeFormat::bf16};
      if (is_float_unit(layer)) formats = {NodeFormat::fp32, NodeFormat::bf16};
      ASSERT_EQ(layer.choices.size(), formats.size()) << layer.key;
      for (size_t i = 0; i < formats.size(); ++i) EXPECT_EQ(layer.choices[i].format, formats[i]) << layer.key;
      if (is_float_unit(layer)) {
        EXPECT_EQ(layer.choices[0].bytes, 0);
      }
    }
    EXPECT_EQ(keys, (std::vector<std::string>{"in", "n", "q1", "k1", "v1", "o1", "o4", "m", "h1", "h4", "z",
                                              "out"}));
    // In an int8 build norms are FP32.
    const Mix int8 = search::uniform_mix(problem, NodeFormat::int8);
    EXPECT_EQ(c.named(int8)["n"], "fp32");
    EXPECT_EQ(c.named(int8)["q1"], "int8");
  }
}

/// From layer to layer by names, with the value between them; sums are read by the last of their parts.
TEST(MixProblem, ValuesGoThroughNormsAttentionAndSums) {
  for (const bool primitive : {false, true}) {
    const EncoderCase c(primitive);
    const auto problem = c.problem(0.01);
    std::set<std::pair<std::string, std::string>> pairs;
    std::map<std::string, std::set<size_t>> values;
    for (const search::MixEdge& edge : problem.edges) {
      const std::string from = problem.layers[edge.from].key;
      EXPECT_TRUE(pairs.insert({from, problem.layers[edge.to].key}).second) << from;
      values[from].insert(edge.value);
    }
    EXPECT_EQ(pairs, (std::set<std::pair<std::string, std::string>>{{"in", "n"},
                                                                    {"in", "o4"},
                                                                    {"n", "q1"},
                                                                    {"n", "k1"},
                                                                    {"n", "v1"},
                                                                    {"q1", "o1"},
                                                                    {"k1", "o1"},
                                                                    {"v1", "o1"},
                                                                    {"o1", "o4"},
                                                                    {"o4", "m"},
                                                                    {"o4", "h4"},
                                                                    {"m", "h1"},
                                                                    {"h1", "h4"},
                                                                    {"h4", "z"},
                                                                    {"z", "out"}}));
    for (const auto& [from, read] : values) EXPECT_EQ(read.size(), 1U) << from;
    // Products in bytes write what a norm or an attention reads, and these write bytes.
    for (const search::MixEdge& edge : problem.edges) {
      const auto &from = problem.layers[edge.from], &to = problem.layers[edge.to];
      const auto& u8 = edge.ms[static_cast<size_t>(Carrier::u8)];
      EXPECT_EQ(u8.leave, is_float_unit(to) ? 0 : 0.01) << from.key << ' ' << to.key;
      EXPECT_EQ(u8.enter, is_float_unit(from) ? 0 : 0.01) << from.key << ' ' << to.key;
      EXPECT_EQ(edge.ms[static_cast<size_t>(Carrier::bf16)].leave, 0.01);
    }
  }
}

/// Against every mix there is: half norms and attention beside an int8 feed-forward are the cheapest below
/// this noise; with dear casts a norm between integers is FP32.
TEST(MixProblem, HalfAttentionBesideAnIntegerFeedForwardIsFoundWhereItIsBest) {
  const EncoderCase c(false);
  for (const double cast_ms : {0.002, 0.03}) {
    const auto problem = c.problem(cast_ms);
    const auto best = search::best_mix(problem, 0.05);
    ASSERT_TRUE(best.ok()) << best.error().message();
    const Mix exact = least(problem, [](const Mix& mix) { return mix.noise <= 0.05 ? mix.ms : 1e9; });
    EXPECT_NEAR(best->ms, exact.ms, 1e-4 * exact.ms);
    auto formats = c.named(*best);
    for (const char* name : {"n", "q1", "k1", "v1", "o1", "o4"}) EXPECT_EQ(formats[name], "bf16") << name;
    for (const char* name : {"in", "h1", "h4", "out"}) EXPECT_EQ(formats[name], "int8") << name;
    EXPECT_EQ(formats["z"], cast_ms < 0.01 ? "bf16" : "fp32");
  }
}

/// The recipe of a mix has what was chosen, for each node of a norm in primitive ops.
TEST(MixInput, FormatsReachAllNodesOfANorm) {
  const EncoderCase c(true);
  quant::Wide formats;
  for (const search::MixLayer& layer : c.layers)
    if (layer.key == "n" || layer.key == "o1") {
      const bool norm = layer.key == "n";
      give_format(layer, {.reason = "why", .format = norm ? NodeFormat::bf16 : NodeFormat::fp32}, formats);
    }
  const auto mix = with_formats(c.input, {}, formats);
  ASSERT_TRUE(mix.ok()) << mix.error().message();
  for (const char* name : {"n_centred", "n_square", "n_above", "n_normal", "n_scaled", "n"}) {
    EXPECT_EQ(mix->recipe.nodes.at(name).format, NodeFormat::bf16) << name;
    EXPECT_EQ(mix->recipe.nodes.at(name).reason, std::string(name) == "n" ? "why" : "") << name;
  }
  EXPECT_EQ(mix->recipe.nodes.at("o1_scores").format, NodeFormat::fp32);
  EXPECT_EQ(mix->recipe.nodes.at("q1").format, NodeFormat::int8);
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

/// A norm or an attention takes the steps of all its nodes, by their names or by the values they make.
TEST(LayerTimes, StepsOfAnAttentionInPrimitiveOpsAreAddedUp) {
  bench::Profile profile;
  profile.steps = {step("first", "FusedMatMul", 1), step("s", "MatMul", 2),
                   step("p", "Softmax", 4),         step("named", "MatMul", 8),
                   step("t", "Transpose", 16),      step("second", "FusedMatMul", 32)};
  for (bench::StepProfile& each : profile.steps) each.choice.outputs = {each.choice.node + "_out"};
  const auto times =
      layer_times(profile, {{"a", "first"},
                            {"named_out", "named", {}, {"s_out", "p_out", "named_out"}, {"s_out"}},
                            {"b", "second"}});
  EXPECT_EQ(times, (std::map<std::string, double>{{"first", 1}, {"named", 30}, {"second", 32}}));
}

/// What one convolution computes for several layers is shared out.
TEST(LayerTimes, LayersMergedIntoOneStepShareItsTime) {
  bench::Profile profile;
  profile.steps = {step("first", "FusedConv", 1), step("left+right_out", "FusedConv", 8),
                   step("", "Split", 0), step("last", "FusedConv", 2)};
  profile.steps[1].choice.merged = {{"left", 0.75}, {"right_out", 0.25}};
  profile.steps[2].choice.outputs = {"left_out", "right_out"};
  const auto times = layer_times(
      profile, {{"a", "first"}, {"b", "left"}, {"c", "right", {}, {"right_out"}, {}}, {"d", "last"}});
  EXPECT_EQ(times, (std::map<std::string, double>{{"first", 1}, {"left", 6}, {"right", 2}, {"last", 2}}));
}

}  // namespace
}  // namespace narrow::pipeline
