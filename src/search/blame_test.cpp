#include "search/blame.h"

#include <gtest/gtest.h>

namespace narrow::search {
namespace {

TEST(Blame, OneLayerWithMostOfTheNoiseIsIsolated) {
  const Blame b = blame(1.0, {{"a", 0.05}, {"b", 0.8}, {"c", 0.01}}, 20);
  EXPECT_EQ(b.kind, Blame::Kind::isolated);
  EXPECT_EQ(b.text, "isolated: 1 of 20 layers bring 80% of the noise at the outputs: b (80%)");
  EXPECT_EQ(b.worst.front().node, "b");
}

/// Half is the border, and three layers may share it.
TEST(Blame, ThreeLayersMayShareTheHalf) {
  EXPECT_EQ(blame(1.0, {{"a", 0.25}, {"b", 0.125}, {"c", 0.125}, {"d", 0.1}}, 9).kind, Blame::Kind::isolated);
  EXPECT_EQ(blame(1.0, {{"a", 0.25}, {"b", 0.125}, {"c", 0.12}, {"d", 0.12}}, 9).kind,
            Blame::Kind::accumulated);
}

TEST(Blame, ManyEqualLayersAreAccumulatedAndTheGainIsSaid) {
  const Blame b = blame(0.02, std::vector<Contribution>(5, {"layer", 0.002}), 10);
  EXPECT_EQ(b.kind, Blame::Kind::accumulated);
  EXPECT_DOUBLE_EQ(b.share, 0.3);
  // 10 log10(1 / 0.7) = 1.549
  EXPECT_NE(b.text.find("3 worst of 10 layers bring 30%"), std::string::npos) << b.text;
  EXPECT_NE(b.text.find("1.5 dB would be gained"), std::string::npos) << b.text;
}

TEST(Blame, NoNoiseAndNothingMeasured) {
  EXPECT_EQ(blame(0, {{"a", 0}}, 1).kind, Blame::Kind::none);
  EXPECT_EQ(blame(0.5, {}, 3).kind, Blame::Kind::none);
}

}  // namespace
}  // namespace narrow::search
