#include "verify/multiple.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace narrow::verify {
namespace {

TEST(Holm, StepsDownUntilOneDoesNotHold) {
  // alpha 0.05 of four: 0.0125, 0.0167, 0.025, 0.05.
  EXPECT_EQ(holm_divisors({0.01, 0.04, 0.03, 0.005}, 0, 0.05), (std::vector<int64_t>{3, 2, 2, 4}));
  EXPECT_EQ(holm_divisors({0.001, 0.002, 0.003}, 0, 0.05), (std::vector<int64_t>{3, 2, 1}));
  EXPECT_EQ(holm_divisors({0.2, 0.3}, 0, 0.05), (std::vector<int64_t>{2, 2}));
  // Trials that were given up count, and pass no more.
  EXPECT_EQ(holm_divisors({0.001, 0.004}, 8, 0.05), (std::vector<int64_t>{10, 9}));
  EXPECT_TRUE(holm_divisors({}, 3, 0.05).empty());
}

TEST(Holm, AnyWrongPassIsRare) {
  // Six tests without effect, p uniform: passing at 5% each would err in 1 - 0.95^6 = 26% of the families.
  constexpr int kFamilies = 4000;
  Random random(3);
  int wrong = 0;
  for (int family = 0; family < kFamilies; ++family) {
    std::vector<double> p(6);
    for (double& x : p) x = random.uniform();
    const std::vector<int64_t> divisors = holm_divisors(p, 0, 0.05);
    bool any = false;
    for (size_t i = 0; i < p.size(); ++i) any = any || p[i] <= 0.05 / static_cast<double>(divisors[i]);
    wrong += any ? 1 : 0;
  }
  EXPECT_LE(wrong, 0.05 * kFamilies + 5 * std::sqrt(0.05 * 0.95 * kFamilies));
  EXPECT_GE(wrong, 0.03 * kFamilies);
}

TEST(SelectionBias, BoundsTheBestOfEquals) {
  // The mean of the largest of k standard normals over 20'000 draws, +- 5 deviations of that mean.
  constexpr int kDraws = 20'000;
  for (const int64_t k : {2, 5, 20}) {
    Random random(static_cast<uint64_t>(k));
    double sum = 0;
    for (int draw = 0; draw < kDraws; ++draw) {
      double best = -INFINITY;
      for (int64_t i = 0; i < k; ++i) best = std::max(best, random.normal());
      sum += best;
    }
    EXPECT_LE(sum / kDraws, selection_bias(10, 100, k) + 5 / std::sqrt(double{kDraws})) << k;
    EXPECT_GE(sum / kDraws, 0.45 * selection_bias(10, 100, k)) << k;
  }
  EXPECT_EQ(selection_bias(10, 100, 1), 0);
  EXPECT_EQ(selection_bias(10, 0, 3), 0);
}

}  // namespace
}  // namespace narrow::verify
