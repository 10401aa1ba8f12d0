#include "calib/check/convergence.h"

#include <gtest/gtest.h>

namespace narrow::calib {
namespace {

TEST(SnapshotCounts, HalveDownToOne) {
  EXPECT_EQ(snapshot_counts(150), (std::vector<int64_t>{2, 4, 9, 18, 37, 75, 112, 150}));
  EXPECT_EQ(snapshot_counts(10), (std::vector<int64_t>{1, 2, 5, 7, 10}));
  EXPECT_EQ(snapshot_counts(3), (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(snapshot_counts(1), (std::vector<int64_t>{1}));
}

/// One value whose upper end is `high`, and one that never moves.
Snapshot snapshot(int64_t samples, float high) {
  return {.samples = samples, .ranges = {{"moves", {-1, high}}, {"stays", {0, 5}}}};
}

TEST(Converge, FindsTheFewestThatStayWithin) {
  // Widths are 10 in the end: 1 is 10 %.
  const Convergence c =
      converge({snapshot(2, 3), snapshot(4, 8.2F), snapshot(9, 7), snapshot(18, 8.5F), snapshot(37, 9)});
  ASSERT_EQ(c.steps.size(), 5U);
  EXPECT_NEAR(c.steps[0].widest, 0.6, 1e-6);
  EXPECT_EQ(c.steps[0].value, "moves");
  EXPECT_NEAR(c.steps[2].most_values, 0.2, 1e-6);  // 95 % of two values are both
  EXPECT_EQ(c.steps[4].widest, 0);
  // 4 samples were within, 9 were not: it is 18 from where ranges stay.
  EXPECT_EQ(c.enough, 18);
  EXPECT_FALSE(c.still_grows);  // 18 of 37 is the half
}

TEST(Converge, RangesThatMoveInTheSecondHalfStillGrow) {
  const Convergence c = converge({snapshot(5, 3), snapshot(10, 4), snapshot(15, 8.9F), snapshot(20, 9)});
  EXPECT_TRUE(c.still_grows);
  EXPECT_EQ(c.enough, 15);
}

TEST(Converge, OfTwentyValuesOneMayMove) {
  std::vector<Snapshot> snapshots = {{.samples = 1, .ranges = {}}, {.samples = 2, .ranges = {}}};
  for (int i = 0; i < 20; ++i)
    for (size_t s = 0; s < 2; ++s)
      snapshots[s].ranges["v" + std::to_string(i)] = {0, i == 7 && s == 0 ? 1.0F : 10.0F};
  const Convergence c = converge(snapshots);
  EXPECT_NEAR(c.steps[0].widest, 0.9, 1e-6);
  EXPECT_EQ(c.steps[0].value, "v7");
  EXPECT_EQ(c.steps[0].most_values, 0);
  EXPECT_EQ(c.enough, 1);
}

TEST(Converge, OneSampleTellsNothing) {
  EXPECT_TRUE(converge({snapshot(1, 3)}).still_grows);
  EXPECT_TRUE(converge({}).steps.empty());
  // Values that are all zero have no width.
  EXPECT_EQ(
      converge({{.samples = 1, .ranges = {{"z", {0, 0}}}}, {.samples = 2, .ranges = {{"z", {0, 0}}}}}).enough,
      1);
}

}  // namespace
}  // namespace narrow::calib
