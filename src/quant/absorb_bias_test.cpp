#include "quant/absorb_bias.h"

#include <gmock/gmock.h>

#include "quant/scale_test_graphs.h"
#include "quant/test_answers.h"

namespace narrow::quant {
namespace {

/// A layer whose every number lies near `lift`, an activation, and a layer that reads it and whose bias takes
/// it back.
ir::Graph lifted(const std::string& between, const std::string& reader, float lift) {
  ir::Graph graph = testing_graphs::graph_from(R"(graph g(%x: f32[N,4,6,6]) {
  @w1: f32[6,4,1,1] = blob 0 96
  @b1: f32[6] = blob 256 24
  @w2: f32[3,6,1,1] = blob 1024 72
  @w3: f32[3,6,3,3] = blob 2048 648
  @b2: f32[3] = blob 4096 12
  @zero: f32[] = [0]
  @nine: f32[] = [9]
  @hundred: f32[] = [100]
  %a = Conv(%x, @w1, @b1) "lifts"
  %b = )" + between + R"(
  %y = )" + reader + R"( "reads"
  return %y as "y"
}
)");
  Tensor bias = graph.find_value("b1")->constant().clone();
  for (float& b : bias.mutable_data<float>()) b += lift;
  graph.set_constant(graph.find_value("b1"), bias);
  const auto weights = graph.find_value("w2")->constant().data<float>();
  Tensor back = graph.find_value("b2")->constant().clone();
  for (size_t o = 0; o < 3; ++o)
    for (size_t i = 0; i < 6; ++i) back.mutable_data<float>()[o] -= lift * weights[o * 6 + i];
  graph.set_constant(graph.find_value("b2"), back);
  return graph;
}

struct Absorbed {
  ir::Graph before, after;
  TensorMap calibration;
  AbsorbReport report;
};

Absorbed absorbed(const std::string& between, const std::string& reader, float lift = 8) {
  Absorbed done{lifted(between, reader, lift), lifted(between, reader, lift), {}, {}};
  done.calibration = testing_graphs::inputs_for(done.before, 1, 8);
  auto report = absorb_bias(done.after, profile_of(done.before, done.calibration));
  EXPECT_TRUE(report.ok());
  done.report = std::move(report).value();
  return done;
}

TEST(AbsorbBias, AConstantMovesToTheReadersBias) {
  for (const char* between : {"Relu(%a)", "Clip(%a, @zero, @hundred)", "Identity(%a)",
                              "MaxPool(%a) {kernel_shape=[2,2]}", "GlobalAveragePool(%a)"})
    for (const char* reader : {"Conv(%b, @w2, @b2)", "Conv(%b, @w2)"}) {
      const Absorbed done = absorbed(between, reader);
      ASSERT_EQ(done.report.values.size(), 1U) << between;
      const AbsorbedValue& value = done.report.values[0];
      EXPECT_EQ(value.producer, "lifts");
      EXPECT_THAT(value.consumers, testing::ElementsAre("reads"));
      EXPECT_GT(value.channels, 0);
      EXPECT_LT(value.range_after, value.range_before);
      EXPECT_FALSE(done.report.note.empty());
      // The same function up to FP32's own rounding, of sums of values near 8.
      EXPECT_GT(sqnr(answers(done.before, done.calibration), answers(done.after, done.calibration)), 110)
          << between;
      // The range it names is the one that is there: that of the value the reader reads.
      const calib::Profile profile = profile_of(done.after, done.calibration);
      const auto& seen = profile.values.at("b");
      const float high = *std::max_element(seen.channel_max.begin(), seen.channel_max.end()),
                  low = *std::min_element(seen.channel_min.begin(), seen.channel_min.end());
      EXPECT_NEAR(static_cast<double>(std::max(high, 0.0F) - std::min(low, 0.0F)), value.range_after, 1e-4)
          << between;
    }
}

TEST(AbsorbBias, Int8GainsTheBitsThatTheConstantCost) {
  const Absorbed done = absorbed("Relu(%a)", "Conv(%b, @w2, @b2)", 60);  // of 66 that a byte would span
  const TensorMap& inputs = done.calibration;  // on others the Relu cuts what lies below the constant
  const std::vector<float> wanted = answers(done.before, inputs);
  EXPECT_GT(int8_sqnr(done.after, done.calibration, inputs, wanted),
            6 + int8_sqnr(done.before, done.calibration, inputs, wanted));
}

TEST(AbsorbBias, WhatCannotTakeItUpIsLeftAlone) {
  const std::pair<const char*, const char*> cases[] = {
      {"Relu(%a)", "Conv(%b, @w3, @b2) {pads=[1,1,1,1]}"},  // the border would miss it
      {"Sigmoid(%a)", "Conv(%b, @w2, @b2)"},                // no f(x - c) = f(x) - c
      {"Relu(%a)", "Mul(%b, %b)"},                          // no bias behind it
      {"AveragePool(%a) {kernel_shape=[3,3], pads=[1,1,1,1]}", "Conv(%b, @w2, @b2)"},
  };
  for (const auto& [between, reader] : cases) {
    const Absorbed done = absorbed(between, reader);
    EXPECT_TRUE(done.report.values.empty()) << between << ' ' << reader;
    EXPECT_TRUE(done.report.note.empty());
    EXPECT_EQ(answers(done.before, done.calibration), answers(done.after, done.calibration));
  }
}

TEST(AbsorbBias, AChannelThatReachesAClipsBoundKeepsItsConstant) {
  const Absorbed done = absorbed("Clip(%a, @zero, @nine)", "Conv(%b, @w2, @b2)");
  const calib::Profile profile = profile_of(done.before, done.calibration);
  int64_t cut = 0;
  for (const float high : profile.values.at("a").channel_max) cut += high > 9 ? 1 : 0;
  ASSERT_GT(cut, 0);
  for (const AbsorbedValue& value : done.report.values) EXPECT_LE(value.channels, 6 - cut);
  EXPECT_GT(sqnr(answers(done.before, done.calibration), answers(done.after, done.calibration)), 110);
}

}  // namespace
}  // namespace narrow::quant
