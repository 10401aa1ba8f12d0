// The walk hands out what whole runs of the two models compute.
#include "quant/layer_walk.h"

#include <gtest/gtest.h>

#include <cmath>

#include "calib/calibrate.h"
#include "data/test_samples.h"
#include "quant/apply.h"
#include "quant/plan_formats.h"
#include "quant/regions.h"
#include "quant/sequential_rounding.h"
#include "quant/test_network.h"
#include "runtime/reference/reference.h"
#include "runtime/test_graphs.h"

namespace narrow::quant {
namespace {

using testing_graphs::graph_from;

const std::string kNetwork = residual_network("  %y = Conv(%i, @w5, @b)\n");

struct Scene {
  ir::Graph graph = graph_from(kNetwork);
  data::Samples samples{testing_graphs::inputs_for(graph, 3, 24)};
  std::shared_ptr<ThreadPool> pool = std::make_shared<ThreadPool>(2);
  calib::Profile profile = *calib::calibrate(graph, "m", samples, pool);
};

std::set<std::string> heavy_keys(const ir::Graph& graph) {
  std::set<std::string> keys;
  for (const ir::Node* node : graph.nodes())
    if (is_heavy(*node)) keys.insert(key_of(*node));
  return keys;
}

/// `value` of whole runs over batch `batch` of eight samples.
Tensor computed(const ir::Graph& graph, const Scene& s, const std::string& value, int64_t batch) {
  ir::Graph copy = graph.clone();
  copy.add_output("wanted", copy.find_value(value));
  const auto input = s.samples.read(batch * 8, 8, *s.pool);
  const auto outputs = runtime::reference::run(copy, input->inputs);
  EXPECT_TRUE(outputs.ok());
  return outputs->at("wanted");
}

TEST(LayerWalk, HandsOutWhatLayersRead) {
  const Scene s;
  const Recipe nothing;
  FakeQuantize rounding(s.graph, nothing);
  auto walk = LayerWalk::create(s.graph, heavy_keys(s.graph), rounding, s.samples, s.pool);
  ASSERT_TRUE(walk.ok()) << walk.error().message();
  ASSERT_EQ(walk->stages().size(), 4U);
  EXPECT_EQ(walk->batches(), 3);
  EXPECT_EQ(walk->samples(), 24);
  EXPECT_EQ(walk->stages()[1].nodes.size(), 2U);
  ir::Graph changed = s.graph.clone();
  for (size_t i = 0; i < walk->stages().size(); ++i) {
    ASSERT_TRUE(walk->advance(i).ok());
    const std::string input = walk->stages()[i].input->name;
    for (int64_t b = 0; b < 3; ++b) {
      // Kernels and the reference sum 54 products of numbers below 20 in orders of their own.
      constexpr double kTolerance = 3 * 55 * 6e-8 * 20;
      EXPECT_LT(testing_graphs::distance(walk->original_input(b), computed(s.graph, s, input, b)),
                kTolerance);
      EXPECT_LT(testing_graphs::distance(walk->quantized_input(b), computed(changed, s, input, b)),
                kTolerance);
    }
    for (const ir::Node* node : walk->stages()[i].nodes) {  // halve its weights, drop its bias
      ir::Node* mine = changed.find_value(key_of(*node))->producer();
      Tensor half = node->input(1)->constant().clone();
      for (float& w : half.mutable_data<float>()) w *= 0.5F;
      const Tensor none = Tensor::zeros(DType::f32, {6});
      changed.set_input(mine, 1, changed.add_constant("half", half));
      changed.set_input(mine, 2, changed.add_constant("none", none));
      walk->set_parameters(key_of(*node), half, none);
    }
  }
}

TEST(LayerWalk, TakesFewerSamplesWhereMemoryIsShort) {
  const Scene s;
  const Recipe nothing;
  FakeQuantize rounding(s.graph, nothing);
  // Most at once: %r, %f and %i, 6 channels of 8 x 8 in batches of 8, in both models.
  const int64_t batch = 2 * 3 * 8 * 6 * 64 * 4;
  const auto walk =
      LayerWalk::create(s.graph, heavy_keys(s.graph), rounding, s.samples, s.pool, {.memory = 2 * batch});
  ASSERT_TRUE(walk.ok()) << walk.error().message();
  EXPECT_EQ(walk->batches(), 2);
}

/// What the walk's quantized model reads is what the deployed graph computes.
TEST(FakeQuantize, RoundsAsTheDeployedGraphDoes) {
  const Scene s;
  const auto recipe = plan_int8(s.graph, s.profile, {});
  ASSERT_TRUE(recipe.ok());
  const auto deployed = apply(s.graph, *recipe);
  ASSERT_TRUE(deployed.ok());
  FakeQuantize rounding(s.graph, *recipe);
  auto walk = LayerWalk::create(s.graph, heavy_keys(s.graph), rounding, s.samples, s.pool);
  ASSERT_TRUE(walk.ok());
  for (size_t i = 0; i < walk->stages().size(); ++i) {
    ASSERT_TRUE(walk->advance(i).ok());
    const ir::Node& first = *walk->stages()[i].nodes.front();
    const std::string input = walk->stages()[i].input->name;
    const float step = recipe->activations.at(input).scale[0];
    for (int64_t b = 0; b < 3; ++b) {
      const Tensor mine = rounding.read_by(first, 0, walk->quantized_input(b)),
                   wanted = computed(*deployed, s, input + "_dequantized", b);
      int64_t apart = 0;
      for (int64_t e = 0; e < mine.elements(); ++e) {
        const float d =
            mine.data<float>()[static_cast<size_t>(e)] - wanted.data<float>()[static_cast<size_t>(e)];
        EXPECT_LT(std::fabs(d), 1.01F * step);  // sums in another order may fall on the other side of a tie
        apart += std::fabs(d) > 0.5F * step ? 1 : 0;
      }
      EXPECT_LE(apart, mine.elements() / 100);
    }
    for (const ir::Node* node : walk->stages()[i].nodes) {
      const ir::Node* mine = deployed->find_value(key_of(*node))->producer();
      const auto weights = mine->input(1)->producer(), bias = mine->input(2)->producer();
      const auto real = [](const ir::Node* dequantize) {
        std::vector<const Tensor*> inputs;
        for (const ir::Value* v : dequantize->inputs()) inputs.push_back(&v->constant());
        return runtime::reference::evaluate(*dequantize, inputs)->front();
      };
      walk->set_parameters(key_of(*node), real(weights), real(bias));
    }
  }
}

/// Mean squared distance of the deployed graph's answers from the original's.
double distance_of(const Scene& s, const Recipe& recipe) {
  const auto deployed = apply(s.graph, recipe);
  EXPECT_TRUE(deployed.ok());
  double sum = 0;
  for (int64_t b = 0; b < 3; ++b) {
    const TensorMap inputs = s.samples.read(b * 8, 8, *s.pool)->inputs;
    const auto original = runtime::reference::run(s.graph, inputs),
               rounded = runtime::reference::run(*deployed, inputs);
    const Tensor wanted = original->at("y"), got = rounded->at("y");
    for (int64_t e = 0; e < got.elements(); ++e)
      sum += std::pow(static_cast<double>(got.data<float>()[static_cast<size_t>(e)]) -
                          static_cast<double>(wanted.data<float>()[static_cast<size_t>(e)]),
                      2);
  }
  return sum;
}

TEST(RoundSequentially, BringsAnswersNearerAtAnyWidth) {
  const Scene s;
  for (const Precision precision :
       {Precision::int8, Precision::int8_dynamic, Precision::int4, Precision::int2}) {
    const auto plain = plan(s.graph, &s.profile, precision, {.ranges = {}, .group_size = 2});
    ASSERT_TRUE(plain.ok());
    Recipe better = *plain;
    const auto layers = round_sequentially(s.graph, better, s.samples, s.pool);
    ASSERT_TRUE(layers.ok()) << layers.error().message();
    EXPECT_EQ(layers->size(), 5U);
    for (const RoundedLayer& layer : *layers) EXPECT_LE(layer.chosen, layer.nearest);
    const double before = distance_of(s, *plain), after = distance_of(s, better);
    // Where activations are rounded, too, only part of the error is the weights'.
    const bool weights_alone = precision == Precision::int4 || precision == Precision::int2;
    EXPECT_LT(after, (weights_alone ? 0.75 : 0.95) * before) << to_string(precision);
    // The plan itself is left alone.
    EXPECT_EQ(distance_of(s, *plain), before);
  }
}

/// One scale for all kernel positions of a result channel; the 1x1 layers are too short and stay int8.
TEST(RoundSequentially, BringsAnswersNearerWithAScalePerChannel) {
  const Scene s;
  const auto plain = plan(s.graph, &s.profile, Precision::int3, {.ranges = {}, .group_size = 0});
  ASSERT_TRUE(plain.ok());
  int64_t narrow_layers = 0;
  for (const auto& [key, weights] : plain->groups) {
    EXPECT_EQ(weights.group_size, 0);
    EXPECT_EQ(weights.scale.elements(), 6);
    narrow_layers += weights.bits == 3 ? 1 : 0;
  }
  EXPECT_EQ(narrow_layers, 2);
  Recipe better = *plain;
  const auto layers = round_sequentially(s.graph, better, s.samples, s.pool);
  ASSERT_TRUE(layers.ok()) << layers.error().message();
  EXPECT_LT(distance_of(s, better), 0.75 * distance_of(s, *plain));
}

TEST(RoundSequentially, DoesNotDependOnThreads) {
  const Scene s;
  std::vector<std::vector<int64_t>> seen;
  for (const int threads : {1, 3}) {
    auto recipe = plan(s.graph, &s.profile, Precision::int4, {.ranges = {}, .group_size = 2});
    ASSERT_TRUE(round_sequentially(s.graph, *recipe, s.samples, std::make_shared<ThreadPool>(threads)).ok());
    std::vector<int64_t> codes;
    for (const auto& [key, weights] : recipe->groups)
      for (const int64_t code : to_ints(weights.codes)) codes.push_back(code);
    seen.push_back(codes);
  }
  EXPECT_EQ(seen[0], seen[1]);
}

TEST(TakeRounding, KeepsTheCodesOfLayersInCommon) {
  const Scene s;
  auto int8 = plan_int8(s.graph, s.profile, {});
  ASSERT_TRUE(round_sequentially(s.graph, *int8, s.samples, s.pool).ok());
  auto mixed = plan_int8(s.graph, s.profile, {.ranges = {}, .wide_format = NodeFormat::bf16},
                         {{"c", {.reason = "asked for"}}});
  take_rounding(*int8, *mixed);
  EXPECT_FALSE(mixed->codes.contains("c"));
  for (const char* key : {"a", "d", "g"}) {
    EXPECT_EQ(to_ints(mixed->codes.at(key)), to_ints(int8->codes.at(key)));
    EXPECT_EQ(mixed->weights.at(key), int8->weights.at(key));
    EXPECT_EQ(mixed->bias_corrections.at(key), int8->bias_corrections.at(key));
  }
  EXPECT_TRUE(apply(s.graph, *mixed).ok());
}

}  // namespace
}  // namespace narrow::quant
