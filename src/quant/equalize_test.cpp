#include "quant/equalize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "quant/scale_test_graphs.h"
#include "quant/test_answers.h"

namespace narrow::quant {
namespace {

using testing_graphs::graph_from;

/// 1x1, depthwise, 1x1 with channels of very different size between them, as folded batch norms leave them:
/// what one layer makes small the next makes large again.
ir::Graph badly_scaled(const std::string& activation, uint64_t seed = 1) {
  ir::Graph graph = graph_from(R"(graph g(%x: f32[N,8,8,8]) {
  @w1: f32[24,8,1,1] = blob 0 768
  @b1: f32[24] = blob 1024 96
  @w2: f32[24,1,3,3] = blob 2048 864
  @b2: f32[24] = blob 4096 96
  @w3: f32[10,24,1,1] = blob 8192 960
  @zero: f32[] = [0]
  @six: f32[] = [6]
  %a = Conv(%x, @w1, @b1) "expand"
  %b = )" + activation + R"(
  %c = Conv(%b, @w2, @b2) {group=24, pads=[1,1,1,1]} "depthwise"
  %d = Relu(%c)
  %y = Conv(%d, @w3) "project"
  return %y as "y"
}
)");
  Random random(seed);
  std::vector<double> first, second;
  for (int c = 0; c < 24; ++c)
    first.push_back(random.uniform(-3, 1.5)), second.push_back(random.uniform(-2, 2));
  const auto scale = [&](const char* name, auto&& exponent) {
    Tensor t = graph.find_value(name)->constant().clone();
    const auto data = t.mutable_data<float>();
    for (size_t i = 0; i < data.size(); ++i)
      data[i] *=
          static_cast<float>(std::exp(exponent(i * static_cast<size_t>(t.dim(0)) / data.size(), i % 24)));
    graph.set_constant(graph.find_value(name), t);
  };
  scale("w1", [&](size_t row, size_t) { return first[row]; });
  scale("b1", [&](size_t row, size_t) { return first[row]; });
  scale("w2", [&](size_t row, size_t) { return second[row] - first[row]; });
  scale("b2", [&](size_t row, size_t) { return second[row]; });
  scale("w3", [&](size_t, size_t column) { return -second[column]; });
  return graph;
}

TEST(Equalize, Int8LosesLessOfABadlyScaledChain) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    const ir::Graph original = badly_scaled("Relu(%a)", seed);
    ir::Graph graph = badly_scaled("Relu(%a)", seed);
    const TensorMap calibration = testing_graphs::inputs_for(graph, 1, 16),
                    inputs = testing_graphs::inputs_for(graph, 2, 8);
    const calib::Profile profile = profile_of(graph, calibration);
    const auto report = equalize(graph, &profile);
    ASSERT_TRUE(report.ok());
    ASSERT_EQ(report->groups.size(), 2U);
    EXPECT_THAT(report->groups[0].producers, testing::ElementsAre("expand"));
    EXPECT_THAT(report->groups[0].consumers, testing::ElementsAre("depthwise"));
    EXPECT_EQ(report->groups[0].channels, 24);
    EXPECT_GT(report->groups[0].gain_db, 3);
    EXPECT_THAT(report->note, testing::HasSubstr("2 groups"));
    const std::vector<float> wanted = answers(original, inputs);
    EXPECT_GT(sqnr(wanted, answers(graph, inputs)), 120);  // FP32's own rounding
    // Channels differ by e^4: bytes of one scale have five bits less for the small ones, which count as much.
    EXPECT_GT(int8_sqnr(graph, calibration, inputs, wanted),
              10 + int8_sqnr(original, calibration, inputs, wanted));
  }
}

TEST(Equalize, ClipsDoOnTheCalibrationDataWhatTheyDid) {
  const std::string clip = "Clip(%a, @zero, @six)";
  const ir::Graph original = badly_scaled(clip);
  ir::Graph graph = badly_scaled(clip);
  const TensorMap calibration = testing_graphs::inputs_for(graph, 1, 16);
  const calib::Profile profile = profile_of(graph, calibration);
  const auto report = equalize(graph, &profile);
  ASSERT_TRUE(report.ok());
  ASSERT_EQ(report->groups.size(), 2U);
  EXPECT_GT(sqnr(answers(original, calibration), answers(graph, calibration)), 120);
  const calib::Profile changed = profile_of(graph, calibration);
  const auto &high = profile.values.at("a").channel_max, &now = changed.values.at("a").channel_max;
  int64_t reached = 0, grown = 0;
  for (size_t c = 0; c < high.size(); ++c) {
    if (high[c] >= 6) {
      ++reached;
      EXPECT_EQ(now[c], high[c]) << c;  // bit for bit: its weights are untouched
    } else {
      EXPECT_LT(now[c], 6) << c;
      grown += now[c] > 2 * high[c] ? 1 : 0;
    }
  }
  EXPECT_GT(reached, 0);
  EXPECT_GT(grown, 4);
}

TEST(Equalize, WithoutDataClippedChannelsStay) {
  ir::Graph clipped = badly_scaled("Clip(%a, @zero, @six)"), plain = badly_scaled("Relu(%a)");
  const auto with_clip = equalize(clipped, nullptr), without = equalize(plain, nullptr);
  ASSERT_TRUE(with_clip.ok() && without.ok());
  EXPECT_EQ(with_clip->groups.size(), 1U);
  EXPECT_EQ(without->groups.size(), 2U);
  const ir::Graph original = badly_scaled("Relu(%a)");
  const TensorMap calibration = testing_graphs::inputs_for(plain, 1, 16),
                  inputs = testing_graphs::inputs_for(plain, 2, 8);
  const std::vector<float> wanted = answers(original, inputs);
  EXPECT_GT(sqnr(wanted, answers(plain, inputs)), 120);
  // Without data a channel's extent is a guess from its weights; here, where the weights tell, most of the
  // gain.
  EXPECT_GT(int8_sqnr(plain, calibration, inputs, wanted),
            2 + int8_sqnr(original, calibration, inputs, wanted));
}

TEST(Equalize, TwiceIsOnce) {
  ir::Graph graph = badly_scaled("Relu(%a)");
  const TensorMap calibration = testing_graphs::inputs_for(graph, 1, 16);
  const calib::Profile before = profile_of(graph, calibration);
  ASSERT_TRUE(equalize(graph, &before, {.trust = 1}).ok());
  const calib::Profile after = profile_of(graph, calibration);
  const auto again = equalize(graph, &after, {.trust = 1, .least_gain_db = 0.2});
  ASSERT_TRUE(again.ok());
  EXPECT_THAT(again->groups, testing::IsEmpty());
  EXPECT_EQ(again->note, "");
}

TEST(Equalize, EveryPatternAnswersAsBefore) {
  for (const ScaleCase& c : scale_cases()) {
    SCOPED_TRACE(c.name);
    const ir::Graph original = graph_from(c.text);
    ir::Graph graph = graph_from(c.text);
    TensorMap inputs = testing_graphs::inputs_for(graph, 1, 8);
    std::map<std::string, Tensor> all;
    for (const ir::Value* input : graph.inputs()) {  // a fixed first extent is one sample
      if (!input->type.dims[0].known()) continue;
      Shape shape = inputs[input->name].shape();
      shape[0] = 8;
      Random random(1);
      Tensor t = Tensor::allocate(DType::f32, shape);
      for (float& x : t.mutable_data<float>()) x = static_cast<float>(random.normal());
      all[input->name] = t;
    }
    const TensorMap samples = all.empty() ? inputs : all;
    if (samples.size() > 1 && c.name == "shared_heads") continue;  // its lengths are both free
    const calib::Profile profile = profile_of(graph, samples);
    ASSERT_TRUE(equalize(graph, &profile).ok());
    const TensorMap one = testing_graphs::inputs_for(graph, 1, 1);
    EXPECT_GT(sqnr(answers(original, one), answers(graph, one)), 110);
  }
}

}  // namespace
}  // namespace narrow::quant
