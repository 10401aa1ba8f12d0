#include "pipeline/mix_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/test_folder.h"
#include "calib/calibrate.h"
#include "data/test_samples.h"
#include "quant/plan_formats.h"
#include "runtime/test_graphs.h"

namespace narrow::pipeline {
namespace {

using quant::NodeFormat;

/// Three products, and builds in fp32 and int8 with times that are given; a gate that int8 misses by 2 dB.
struct Case {
  ir::Graph fp32 = testing_graphs::graph_from(R"(graph g(%x: f32[N,48]) {
  @w: f32[48,64] = blob 0 12288
  @v: f32[64,64] = blob 12288 16384
  @u: f32[64,32] = blob 28672 8192
  %a: f32[N,64] = MatMul(%x, @w) "first"
  %b: f32[N,64] = Relu(%a)
  %c: f32[N,64] = MatMul(%b, @v) "second"
  %d: f32[N,64] = Relu(%c)
  %y: f32[N,32] = MatMul(%d, @u) "third"
  return %y as "y"
}
)");
  std::shared_ptr<ThreadPool> pool = std::make_shared<ThreadPool>(2);
  data::Samples data{testing_graphs::inputs_for(fp32, 3, 16)};
  calib::Profile profile = *calib::calibrate(fp32, "m", data, pool, {});
  std::map<std::string, Shape> shapes = {{"x", {1, 48}}};
  Quantized int8{*quant::plan(fp32, &profile, quant::Precision::int8, {}), nullptr};
  std::vector<verify::LayerReport> reports;
  MixInput input{fp32, profile, data, shapes, int8, reports, {}};
  double int8_db = 0;

  Case() {
    int8_db = judge("sqnr>=0dB").judge(int8)->sqnr_db();
    input.builds.push_back(
        {.format = NodeFormat::fp32, .ms = {{"first", 5}, {"second", 3}, {"third", 2}}, .holds = true});
    input.builds.push_back({.format = NodeFormat::int8,
                            .recipe = int8.recipe,
                            .ms = {{"first", 1}, {"second", 1}, {"third", 1}},
                            .noise = std::pow(10.0, -int8_db / 10)});
  }

  Judge judge(const std::string& gate) const {
    auto made = Judge::create(fp32, data, {.gates = {*verify::parse_gate(gate)}}, pool);
    EXPECT_TRUE(made.ok());
    return std::move(*made);
  }
  Judge strict() const { return judge("sqnr>=" + std::to_string(int8_db + 2) + "dB"); }

  MixFound search(Judge& judge, MixMemory& memory, MixClock clock = {}) const {
    MixOptions options{.plan = {}, .pinned = {}, .casts = pinned_casts()};
    options.clock = std::move(clock);
    auto found = search_mix(input, options, judge, memory, pool);
    EXPECT_TRUE(found.ok()) << (found.ok() ? "" : found.error().message());
    return std::move(*found);
  }
};

TEST(MixSearch, FindsAMixBetweenTheBuilds) {
  const Case c;
  MixMemory memory({}, "m");
  Judge judge = c.strict();
  const MixFound found = c.search(judge, memory);
  ASSERT_TRUE(found.holds);
  EXPECT_EQ(found.rival, NodeFormat::fp32);
  EXPECT_LT(found.tried.best->ms, 0.97 * 10);
  EXPECT_GT(found.tried.best->ms, 3);
  EXPECT_TRUE(judge.judge(found.mix)->holds);
  EXPECT_EQ(found.noise.measured, 3);
  EXPECT_THAT(found.notes[0], testing::HasSubstr("all int8 3.0"));
}

TEST(MixSearch, ASecondSearchJudgesNothing) {
  const Case c;
  const TestFolder folder;
  MixMemory first_memory(folder.path(), "m");
  Judge first_judge = c.strict();
  const MixFound first = c.search(first_judge, first_memory);
  EXPECT_EQ(first.recalled, 0);
  EXPECT_EQ(first_judge.judged(), std::ssize(first.trials));
  MixMemory memory(folder.path(), "m");
  Judge judge = c.strict();
  const MixFound second = c.search(judge, memory);
  EXPECT_EQ(judge.judged(), 0);
  EXPECT_EQ(second.recalled, 1 + 3 + std::ssize(first.trials));  // int8, its layers, the trials
  ASSERT_TRUE(second.holds);
  EXPECT_EQ(second.tried.best->choice, first.tried.best->choice);
}

TEST(MixSearch, AMixThatIsMeasuredToBeSlowerIsGivenUp) {
  const Case c;
  MixMemory memory({}, "m");
  Judge judge = c.strict();
  int asked = 0;
  const MixFound found = c.search(judge, memory, [&](const Quantized&, NodeFormat rival) -> Result<double> {
    EXPECT_EQ(rival, NodeFormat::fp32);
    ++asked;
    return 2.0;
  });
  EXPECT_FALSE(found.holds);
  EXPECT_EQ(found.measured, 2.0);
  EXPECT_GT(found.cast_factor, 1);
  EXPECT_GE(asked, 1);
  EXPECT_LE(asked, 3);
  EXPECT_EQ(judge.judged(), std::ssize(found.trials));  // none twice
  EXPECT_THAT(found.notes[0], testing::HasSubstr("2.00 times as long"));
}

TEST(MixSearch, AMixThatIsMeasuredToBeFasterIsTaken) {
  const Case c;
  MixMemory memory({}, "m");
  Judge judge = c.strict();
  const MixFound found =
      c.search(judge, memory, [](const Quantized&, NodeFormat) -> Result<double> { return 0.5; });
  EXPECT_TRUE(found.holds);
  EXPECT_EQ(found.cast_factor, 1);
  EXPECT_EQ(to_json(found)["measured_over_rival"], 0.5);
}

}  // namespace
}  // namespace narrow::pipeline
