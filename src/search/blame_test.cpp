#include "search/blame.h"

#include <gtest/gtest.h>

namespace narrow::search {
namespace {

TEST(Blame, OneLayerWithMostOfTheNoiseIsIsolated) {
  const Blame b = blame(1.0, {{"b", 0.8}, {"a", 0.05}, {"c", 0.01}}, {0.8, 0.85, 0.86}, 20);
  EXPECT_EQ(b.kind, Blame::Kind::isolated);
  EXPECT_EQ(b.text,
            "isolated: 1 of 20 layers bring 80% of the noise at the outputs together; alone: b (80%)");
}

/// Half is the border; what counts is what the layers bring together.
TEST(Blame, ThreeLayersMayShareTheHalf) {
  const std::vector<Contribution> alone = {{"a", 0.25}, {"b", 0.125}, {"c", 0.125}, {"d", 0.125}};
  EXPECT_EQ(blame(1.0, alone, {0.25, 0.375, 0.5}, 9).kind, Blame::Kind::isolated);
  EXPECT_EQ(blame(1.0, alone, {0.25, 0.375, 0.499}, 9).kind, Blame::Kind::accumulated);
  const Blame pair = blame(1.0, alone, {0.25, 0.6}, 9);
  EXPECT_EQ(pair.kind, Blame::Kind::isolated);
  EXPECT_NE(pair.text.find("2 of 9 layers bring 60%"), std::string::npos) << pair.text;
}

TEST(Blame, ManyEqualLayersAreAccumulatedAndTheGainIsSaid) {
  const Blame b = blame(0.02, std::vector<Contribution>(5, {"layer", 0.002}), {0.002, 0.004, 0.006}, 10);
  EXPECT_EQ(b.kind, Blame::Kind::accumulated);
  EXPECT_DOUBLE_EQ(b.share, 0.3);
  // 10 log10(1 / 0.7) = 1.549
  EXPECT_NE(b.text.find("3 worst of 10 layers bring 30%"), std::string::npos) << b.text;
  EXPECT_NE(b.text.find("1.5 dB are gained"), std::string::npos) << b.text;
}

/// Widening may hurt: nothing is negative.
TEST(Blame, NoNoiseAndNothingMeasured) {
  EXPECT_EQ(blame(0, {{"a", 0}}, {0}, 1).kind, Blame::Kind::none);
  EXPECT_EQ(blame(0.5, {}, {}, 3).kind, Blame::Kind::none);
  EXPECT_EQ(blame(0.5, {{"a", 0}}, {0}, 3).share, 0);
}

}  // namespace
}  // namespace narrow::search
