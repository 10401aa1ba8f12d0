// Blocks hand out what whole runs compute, and what is learned on them makes the whole model better.
#include "quant/learn_blocks.h"

#include <gtest/gtest.h>

#include <cmath>

#include "calib/calibrate.h"
#include "data/test_samples.h"
#include "quant/apply.h"
#include "quant/layer_start.h"
#include "quant/layer_weights.h"
#include "quant/plan_formats.h"
#include "quant/regions.h"
#include "quant/sequential_scales.h"
#include "quant/test_network.h"
#include "runtime/reference/reference.h"
#include "runtime/test_graphs.h"

namespace narrow::quant {
namespace {

using testing_graphs::graph_from;

const std::string kNetwork = residual_network("  %k = Conv(%i, @w5, @b)\n  %y = Sigmoid(%k)\n");

struct Scene {
  ir::Graph graph = graph_from(kNetwork);
  data::Samples samples{testing_graphs::inputs_for(graph, 3, 48)};
  std::shared_ptr<ThreadPool> pool = std::make_shared<ThreadPool>(2);
  calib::Profile profile = *calib::calibrate(graph, "m", samples, pool);

  std::set<std::string> layers() const {
    std::set<std::string> keys;
    for (const ir::Node* node : graph.nodes())
      if (is_heavy(*node)) keys.insert(key_of(*node));
    return keys;
  }
};

/// `value` of a whole run over all samples.
Tensor computed(const ir::Graph& graph, const Scene& s, const std::string& value) {
  ir::Graph copy = graph.clone();
  copy.add_output("wanted", copy.find_value(value));
  const auto outputs = runtime::reference::run(copy, s.samples.read(0, 48, *s.pool)->inputs);
  EXPECT_TRUE(outputs.ok());
  return outputs->at("wanted");
}

/// Mean squared distance of the deployed graph's answers, before the Sigmoid, from the original's.
double distance_of(const Scene& s, const Recipe& recipe) {
  const auto deployed = apply(s.graph, recipe);
  EXPECT_TRUE(deployed.ok());
  const Tensor wanted = computed(s.graph, s, "k"), got = computed(*deployed, s, "k");
  double sum = 0;
  for (int64_t e = 0; e < got.elements(); ++e)
    sum += std::pow(static_cast<double>(got.data<float>()[static_cast<size_t>(e)]) -
                        static_cast<double>(wanted.data<float>()[static_cast<size_t>(e)]),
                    2);
  return sum / static_cast<double>(got.elements());
}

TEST(BlockWalk, HandsOutWhatBlocksReadAndGive) {
  const Scene s;
  const Recipe nothing;
  FakeQuantize rounding(s.graph, nothing);
  for (const int64_t most : {1, 2, 3, 9}) {
    auto walk =
        BlockWalk::create(s.graph, s.layers(), rounding, s.samples, s.pool, {.walk = {}, .layers = most});
    ASSERT_TRUE(walk.ok()) << walk.error().message();
    EXPECT_EQ(walk->samples(), 48);
    std::set<std::string> seen;
    ir::Graph changed = s.graph.clone();
    for (size_t i = 0; i < walk->blocks().size(); ++i) {
      const Block& block = walk->blocks()[i];
      EXPECT_LE(std::ssize(block.layers), most);
      EXPECT_FALSE(block.layers.empty());
      ASSERT_TRUE(walk->enter(i).ok());
      // Kernels and the reference sum 54 products of numbers below 20 in orders of their own.
      constexpr double kTolerance = 3 * 55 * 6e-8 * 20;
      for (const ir::Value* input : block.part.inputs)
        EXPECT_LT(testing_graphs::distance(*walk->input(input), computed(changed, s, input->name)),
                  kTolerance);
      for (const ir::Value* output : block.part.outputs)
        EXPECT_LT(testing_graphs::distance(*walk->output(output), computed(s.graph, s, output->name)),
                  kTolerance);
      for (const ir::Node* node : block.layers) {  // halve its weights, drop its bias
        EXPECT_TRUE(seen.insert(key_of(*node)).second);
        ir::Node* mine = changed.find_value(key_of(*node))->producer();
        Tensor half = node->input(1)->constant().clone();
        for (float& w : half.mutable_data<float>()) w *= 0.5F;
        const Tensor none = Tensor::zeros(DType::f32, {6});
        changed.set_input(mine, 1, changed.add_constant("half", half));
        changed.set_input(mine, 2, changed.add_constant("none", none));
        walk->set_parameters(key_of(*node), half, none);
      }
      ASSERT_TRUE(walk->leave(i).ok());
    }
    EXPECT_EQ(seen, s.layers());
    // What comes behind the last layer is nobody's: a sigmoid would hide errors.
    EXPECT_EQ(walk->blocks().back().part.outputs.front()->name, "k");
  }
}

TEST(LayerStart, IsWhatTheRecipeStores) {
  const Scene s;
  for (const Precision precision : {Precision::int8, Precision::w4a8, Precision::int4, Precision::int3}) {
    auto recipe = plan(s.graph, &s.profile, precision, {.ranges = {}, .group_size = 2});
    ASSERT_TRUE(recipe.ok());
    for (const std::string& key : s.layers()) {
      const ir::Node& node = *s.graph.find_value(key)->producer();
      const LayerStart start = start_of(node, *recipe);
      const Tensor real = LayerWeights(node, *recipe).real();
      EXPECT_TRUE(dequantize_groups(start.start).same_bits(real)) << to_string(precision) << ' ' << key;
      store(start, *recipe);
      EXPECT_TRUE(LayerWeights(node, *recipe).real().same_bits(real));
    }
  }
}

TEST(LearnBlocks, BringsAnswersNearerThanNearestCodes) {
  const Scene s;
  for (const Precision precision : {Precision::w4a8, Precision::int2})
    for (const int64_t layers : {1, 3}) {
      const auto plain = plan(s.graph, &s.profile, precision, {.ranges = {}, .group_size = 2});
      ASSERT_TRUE(plain.ok());
      Recipe better = *plain;
      LearnOptions options;
      options.blocks.layers = layers;
      options.rounding.iterations = 300;
      const auto blocks = learn_blocks(s.graph, better, s.samples, s.pool, options);
      ASSERT_TRUE(blocks.ok()) << blocks.error().message();
      int64_t learned = 0;
      for (const LearnedBlock& block : *blocks) {
        EXPECT_EQ(block.refused, "");
        learned += std::ssize(block.layers);
      }
      EXPECT_EQ(learned, 5);
      EXPECT_LT(distance_of(s, better), distance_of(s, *plain)) << to_string(precision) << ' ' << layers;
    }
}

TEST(LearnBlocks, DoesNotDependOnTheNumberOfThreads) {
  const Scene s;
  const auto plain = plan(s.graph, &s.profile, Precision::w4a8, {});
  ASSERT_TRUE(plain.ok());
  LearnOptions options;
  options.blocks.layers = 2;
  options.rounding.iterations = 40;
  Recipe one = *plain, three = *plain;
  ASSERT_TRUE(learn_blocks(s.graph, one, s.samples, std::make_shared<ThreadPool>(1), options).ok());
  ASSERT_TRUE(learn_blocks(s.graph, three, s.samples, std::make_shared<ThreadPool>(3), options).ok());
  ASSERT_EQ(one.codes.size(), 5U);
  for (const auto& [key, codes] : one.codes) EXPECT_TRUE(codes.same_bits(three.codes.at(key))) << key;
}

TEST(SearchScalesSequentially, NoLayerErrsMoreAndAnswersComeNearer) {
  const Scene s;
  for (const Precision precision : {Precision::w4a8, Precision::int2}) {
    const auto plain = plan(s.graph, &s.profile, precision, {.ranges = {}, .group_size = 2});
    ASSERT_TRUE(plain.ok());
    Recipe better = *plain;
    const auto layers = search_scales_sequentially(s.graph, better, s.samples, s.pool);
    ASSERT_TRUE(layers.ok()) << layers.error().message();
    EXPECT_EQ(layers->size(), 5U);
    int64_t changed = 0;
    for (const RescaledLayer& layer : *layers) {
      EXPECT_EQ(layer.refused, "");
      EXPECT_LE(layer.loss.after, layer.loss.before);
      changed += layer.changed;
    }
    EXPECT_GT(changed, 0);
    EXPECT_LT(distance_of(s, better), distance_of(s, *plain)) << to_string(precision);
  }
}

}  // namespace
}  // namespace narrow::quant
