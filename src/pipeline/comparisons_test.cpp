#include "pipeline/comparisons.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace narrow::pipeline {
namespace {

verify::Figures with_lost(int64_t lost) {
  verify::Figure top1{.value = 80, .interval = {}, .reference = 80.0, .change = 0, .change_interval = {}};
  top1.paired = verify::PairedCounts{1000, lost, 0};
  top1.sample_deviation = 10;
  return {.samples = 1000, .by_name = {{"top1", top1}}, .mcnemar_p = 1};
}

std::vector<verify::Gate> gates() {
  return {*verify::parse_gate("top1.drop<=1pp"), *verify::parse_gate("size<=1x")};
}

TEST(Comparisons, LevelsFollowHolm) {
  const verify::Figures good = with_lost(0), bad = with_lost(30);
  const std::vector<TriedBuild> builds = {{"bf16", &good}, {"int8", &bad}};
  const Comparisons c = compare_tried(builds, gates(), verify::Proof::ci, 5);
  // Three trials beside the two: bf16 is the first of five, int8 the first that does not hold among four.
  EXPECT_DOUBLE_EQ(c.level_of("bf16"), 1 - 0.05 / 5);
  EXPECT_DOUBLE_EQ(c.level_of("int8"), 1 - 0.05 / 4);
  EXPECT_EQ(c.level_of("fp32"), 0.95);
  EXPECT_THAT(c.sentence, testing::HasSubstr("5 builds were tried on the same 1000 samples"));
  EXPECT_EQ(to_json(c)["method"], "Holm");
}

TEST(Comparisons, PointSaysWhatItDoesNotCorrect) {
  const verify::Figures good = with_lost(0), bad = with_lost(30);
  const Comparisons c = compare_tried({{"bf16", &good}, {"int8", &bad}}, gates(), verify::Proof::point, 2);
  EXPECT_TRUE(c.levels.empty());
  // 10 / sqrt(1000) * sqrt(2 ln 2) = 0.37
  EXPECT_THAT(c.sentence, testing::HasSubstr("in top1 by up to 0.37 pp"));
  EXPECT_EQ(to_json(c)["corrected"], false);
}

/// What fails by its measured value cannot be the best: how much its samples differ does not matter.
TEST(Comparisons, WhatFailsDoesNotFlatterItself) {
  const verify::Figures good = with_lost(0);
  verify::Figures awful = with_lost(400);
  awful.by_name.at("top1").change = -40;
  awful.by_name.at("top1").sample_deviation = 50;
  const Comparisons c = compare_tried({{"bf16", &good}, {"int2", &awful}}, gates(), verify::Proof::point, 2);
  EXPECT_THAT(c.sentence, testing::HasSubstr("in top1 by up to 0.37 pp"));
}

TEST(Comparisons, NothingToSayOfOneBuildOrWithoutGatesAboutAnswers) {
  const verify::Figures good = with_lost(0);
  EXPECT_EQ(compare_tried({{"int8", &good}}, gates(), verify::Proof::ci, 1).sentence, "");
  EXPECT_EQ(
      compare_tried({{"int8", &good}}, {*verify::parse_gate("size<=1x")}, verify::Proof::ci, 4).sentence, "");
  EXPECT_EQ(compare_tried({}, gates(), verify::Proof::ci, 0).tried, 0);
}

}  // namespace
}  // namespace narrow::pipeline
