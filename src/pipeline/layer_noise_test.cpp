#include "pipeline/layer_noise.h"

#include <gtest/gtest.h>

#include <numeric>

#include "calib/calibrate.h"
#include "data/test_samples.h"
#include "pipeline/judge.h"
#include "quant/plan_formats.h"
#include "quant/test_encoder.h"

namespace narrow::pipeline {
namespace {

using quant::NodeFormat;

/// Builds of an encoder, whose products are in, q1, k1, v1, o4, h1, h4 and out, in fp32, int8 and bf16.
struct Case {
  std::shared_ptr<ThreadPool> pool = std::make_shared<ThreadPool>(2);
  std::map<std::string, Shape> shapes = {{"input", {1, 6, 8}}};
  ir::Graph fp32;
  data::Samples data;
  calib::Profile profile;
  Quantized int8;
  std::vector<verify::LayerReport> reports;
  MixInput input{fp32, profile, data, shapes, int8, reports, {}};
  std::vector<search::MixLayer> layers;

  explicit Case(bool primitive)
      : fp32(testing_graphs::encoder(primitive)),
        data(testing_graphs::inputs_for(fp32, 3, 8)),
        profile(*calib::calibrate(fp32, "m", data, pool, {})),
        int8{*quant::plan(fp32, &profile, quant::Precision::int8, {}), nullptr},
        layers(mix_layers(fp32, int8.recipe, shapes, {})) {
    input.builds.push_back({.format = NodeFormat::fp32});
    input.builds.push_back({.format = NodeFormat::int8, .recipe = int8.recipe});
    input.builds.push_back({.format = NodeFormat::bf16, .recipe = bf16()});
  }

  quant::Recipe bf16() const { return *quant::plan(fp32, &profile, quant::Precision::bf16, {}); }

  LayerNoise measure(double seconds) const {
    MixMemory memory({}, "m");
    auto noise =
        measure_layer_noise(input, layers, {.plan = {}, .pinned = {}, .seconds = seconds}, memory, pool, {});
    EXPECT_TRUE(noise.ok()) << (noise.ok() ? "" : noise.error().message());
    return std::move(noise).value();
  }

  /// These nodes in bf16 and nothing else narrow.
  double noise_of(const std::vector<std::string>& nodes) const {
    quant::Recipe recipe;
    for (const std::string& node : nodes) recipe.nodes[node] = {NodeFormat::bf16, ""};
    return noise_of(recipe);
  }
  double noise_of(const quant::Recipe& recipe) const {
    auto judge = Judge::create(fp32, data, {}, pool);
    EXPECT_TRUE(judge.ok());
    const auto judged = judge->judge({recipe, nullptr});
    EXPECT_TRUE(judged.ok()) << (judged.ok() ? "" : judged.error().message());
    return judged.ok() ? judged->noise() : 0;
  }

  size_t index(const std::string& key) const {
    for (size_t l = 0; l < layers.size(); ++l)
      if (layers[l].key == key) return l;
    ADD_FAILURE() << key;
    return 0;
  }
};

/// In half formats the noise of each norm and attention alone and of the products together, in the proportion
/// of runs with those nodes in bf16, adds up to that of the build.
TEST(LayerNoise, NormsAreMeasuredAloneInHalfFormats) {
  for (const bool primitive : {false, true}) {
    const Case c(primitive);
    const LayerNoise noise = c.measure(300);
    const std::vector<double>& bf16 = noise.of.at(NodeFormat::bf16);
    ASSERT_EQ(bf16.size(), 12U);
    const double whole = c.noise_of(c.bf16()), sum = std::accumulate(bf16.begin(), bf16.end(), 0.0);
    EXPECT_GT(whole, 0);
    EXPECT_NEAR(sum, whole, 1e-9 * whole);
    std::vector<std::string> norm = {"m"};
    std::vector<std::string> attention = {"o1", "q2", "k2", "v2", "q3",
                                          "k3", "v3", "o2", "o3"};  // with its heads
    if (primitive) {
      norm = {"m", "m_centred", "m_square", "m_above", "m_normal", "m_scaled"};
      attention.insert(attention.end(), {"k4", "o1_scores", "o1_scaled"});
    }
    const double wanted = c.noise_of(norm) / c.noise_of(attention);
    EXPECT_NEAR(bf16[c.index("m")] / bf16[c.index("o1")], wanted, 1e-6 * wanted);
    // What lies between products in bf16 follows them.
    const double products = c.noise_of({"in", "q1", "k1", "v1", "o4", "o5", "h1", "h2", "h3", "h4", "out"});
    double together = 0;
    for (const char* name : {"in", "q1", "k1", "v1", "o4", "h1", "h4", "out"})
      together += bf16[c.index(name)];
    EXPECT_NEAR(together / bf16[c.index("o1")], products / c.noise_of(attention),
                1e-6 * products / c.noise_of(attention));
    const std::vector<double>& int8 = noise.of.at(NodeFormat::int8);
    EXPECT_NEAR(bf16[c.index("q1")] / bf16[c.index("h1")], int8[c.index("q1")] / int8[c.index("h1")], 1e-6);
    for (const char* name : {"n", "o1", "m", "z"}) EXPECT_EQ(int8[c.index(name)], 0) << name;
    // 8 products alone in int8; 4 norms and attentions in bf16.
    EXPECT_EQ(noise.wanted, 12);
    EXPECT_EQ(noise.measured, 12);
  }
}

TEST(LayerNoise, WithoutTimeAllSharesAreEstimates) {
  const Case c(false);
  const LayerNoise noise = c.measure(-1);
  EXPECT_EQ(noise.wanted, 12);
  EXPECT_EQ(noise.measured, 0);
  const std::vector<double>& bf16 = noise.of.at(NodeFormat::bf16);
  EXPECT_NEAR(std::accumulate(bf16.begin(), bf16.end(), 0.0), c.noise_of(c.bf16()), 1e-9);
  for (const char* name : {"n", "o1", "m", "z"}) {
    EXPECT_GT(bf16[c.index(name)], 0) << name;
    EXPECT_EQ(bf16[c.index(name)], bf16[c.index("n")]) << name;
  }
}

}  // namespace
}  // namespace narrow::pipeline
