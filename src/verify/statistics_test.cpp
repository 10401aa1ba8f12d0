#include "verify/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"

namespace narrow::verify {
namespace {

TEST(Bootstrap, CoversTheMeanAsTheoryExpects) {
  Random random(1);
  std::vector<double> values(400);
  double mean = 0, square = 0;
  for (double& x : values) x = random.normal() * 2 + 5, mean += x / 400;
  for (const double x : values) square += (x - mean) * (x - mean) / 400;
  const auto statistic = [&](std::span<const int32_t> drawn) {
    double sum = 0;
    for (const int32_t i : drawn) sum += values[static_cast<size_t>(i)];
    return sum / static_cast<double>(drawn.size());
  };
  const Interval i = bootstrap(400, statistic, 7);
  // The interval of a mean is +-1.96 standard errors; its own ends scatter by about 3% of that with 1000
  // rounds.
  const double half = 1.96 * std::sqrt(square / 400);
  EXPECT_NEAR(i.low, mean - half, 0.15 * half);
  EXPECT_NEAR(i.high, mean + half, 0.15 * half);
  const Interval again = bootstrap(400, statistic, 7), other = bootstrap(400, statistic, 8);
  EXPECT_EQ(again.low, i.low);
  EXPECT_EQ(again.high, i.high);
  EXPECT_NE(other.low, i.low);
}

TEST(Bootstrap, Edges) {
  const auto constant = [](std::span<const int32_t>) { return 3.0; };
  EXPECT_EQ(bootstrap(0, constant, 1).high, 0);
  EXPECT_EQ(bootstrap(1, constant, 1).low, 3);
  EXPECT_EQ(bootstrap(5, constant, 1, 1).high, 3);
  bootstrap(
      3,
      [](std::span<const int32_t> drawn) {
        EXPECT_EQ(drawn.size(), 3U);
        for (const int32_t i : drawn) EXPECT_TRUE(i >= 0 && i < 3);
        return 0.0;
      },
      1, 50);
  int round = 0;
  const Interval broken = bootstrap(
      2,
      [&](std::span<const int32_t>) { return ++round % 3 == 0 ? std::nan("") : static_cast<double>(round); },
      1);
  EXPECT_TRUE(std::isnan(broken.high));
  EXPECT_FALSE(std::isnan(broken.low));
}

TEST(McNemar, HandValues) {
  EXPECT_EQ(mcnemar(0, 0), 1);
  EXPECT_NEAR(mcnemar(1, 9), 2 * (1 + 10) / 1024.0, 1e-12);
  EXPECT_NEAR(mcnemar(9, 1), 2 * (1 + 10) / 1024.0, 1e-12);
  EXPECT_NEAR(mcnemar(0, 5), 2 / 32.0, 1e-12);
  EXPECT_NEAR(mcnemar(0, 1), 1, 1e-12);
  EXPECT_EQ(mcnemar(6, 6), 1);
  EXPECT_NEAR(mcnemar(2, 6), 2 * (1 + 8 + 28) / 256.0, 1e-12);
  // Large counts: the normal approximation with continuity correction, z = (|b - c| - 1) / sqrt(b + c).
  EXPECT_NEAR(mcnemar(4900, 5100), std::erfc(199 / 100.0 / std::sqrt(2.0)), 2e-4);
}

TEST(SamplesToSettle, SolvesTheInterval) {
  for (const double bound : {0.5, 2.0, -1.0}) {
    const int64_t n = samples_to_settle(1, 3, bound);
    const double distance = std::fabs(bound - 1);
    EXPECT_LE(1.96 * 3 / std::sqrt(static_cast<double>(n)), distance);
    EXPECT_GT(1.96 * 3 / std::sqrt(static_cast<double>(n - 1)), distance);
  }
  EXPECT_EQ(samples_to_settle(1, 3, 1), 0);
  EXPECT_EQ(samples_to_settle(1, 0, 2), 0);
  EXPECT_GT(samples_to_settle(1, 1e20, 2), 0);
  EXPECT_EQ(samples_to_settle(std::nan(""), 1, 2), 0);
  EXPECT_EQ(samples_to_settle(1, std::numeric_limits<double>::infinity(), 2), 0);
}

}  // namespace
}  // namespace narrow::verify
