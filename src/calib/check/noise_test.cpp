#include "calib/check/noise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.h"

namespace narrow::calib {
namespace {

/// Groups of one sample; a sample holds a thousand values that all hang together: its share of part 0 is
/// drawn around `centre`, once for all of them.
std::vector<Counts> samples(Random& random, int n, double centre) {
  std::vector<Counts> list;
  for (int i = 0; i < n; ++i) {
    const auto first = static_cast<int64_t>(1000 * std::clamp(centre + 0.15 * random.normal(), 0.01, 0.99));
    list.push_back({first, 1000 - first});
  }
  return list;
}

std::vector<double> shares(const std::vector<Counts>& groups) {
  Counts sum(groups.front().size(), 0);
  for (const Counts& group : groups)
    for (size_t k = 0; k < sum.size(); ++k) sum[k] += group[k];
  return shares_of(sum);
}

TEST(Grouping, GroupsOfBothSetsHaveOneSize) {
  const auto expect = [](int64_t n, int64_t m, int64_t groups, int64_t size) {
    const Grouping g = grouping_of(n, m);
    EXPECT_EQ(g.groups, groups) << n << " " << m;
    EXPECT_EQ(g.size, size) << n << " " << m;
  };
  expect(10, 12, 10, 1);
  expect(12, 10, 12, 1);
  expect(150, 350, 37, 4);
  expect(350, 150, 87, 4);
  expect(10, 100000, 10, 1);
  expect(100000, 10, kMostGroups, 1);
  expect(1, 1, 1, 1);
}

TEST(Shuffles, ArePermutations) {
  const auto orders = shuffles(9, 50, 7);
  ASSERT_EQ(orders.size(), 50U);
  EXPECT_NE(orders[0], orders[1]);
  for (std::vector<int32_t> order : orders) {
    std::sort(order.begin(), order.end());
    for (int32_t i = 0; i < 9; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
  }
  EXPECT_EQ(orders, shuffles(9, 50, 7));
}

/// Sets from one source leave the floor about once in kRounds + 1 times, whatever hangs together inside a
/// sample: of 300 pairs 1.5 on the average; 8 or more come with probability 2e-4 (Poisson).
TEST(NoiseFloor, IsRarelyLeftByChance) {
  Random random(1);
  int left = 0;
  for (int pair = 0; pair < 300; ++pair) {
    const auto a = samples(random, 10, 0.5), b = samples(random, 12, 0.5);
    left += psi(shares(a), shares(b)) > noise_floor(a, b, static_cast<uint64_t>(pair)).psi ? 1 : 0;
  }
  EXPECT_LT(left, 8);
}

TEST(NoiseFloor, SeesADifference) {
  Random random(2);
  for (int pair = 0; pair < 20; ++pair) {
    const auto a = samples(random, 10, 0.2), b = samples(random, 12, 0.8);
    const NoiseFloor floor = noise_floor(a, b, static_cast<uint64_t>(pair));
    EXPECT_GT(psi(shares(a), shares(b)), floor.psi);
    EXPECT_GT(ks(shares(a), shares(b)), floor.ks);
  }
}

/// Two groups can be dealt in two ways only, and PSI is the same both ways round.
TEST(NoiseFloor, OfTwoGroupsIsTheirDistance) {
  const std::vector<Counts> a = {{10, 90}}, b = {{50, 50}};
  const NoiseFloor floor = noise_floor(a, b, 1);
  EXPECT_NEAR(floor.psi, psi(shares(a), shares(b)), 1e-12);
  EXPECT_NEAR(floor.ks, 0.4, 1e-12);
}

TEST(NoiseFloor, OfNothingIsNothing) {
  const std::vector<Counts> a = {{1, 2}}, none = {{}, {}};
  EXPECT_EQ(noise_floor(a, none, 1).psi, 0);
  EXPECT_EQ(noise_floor(none, a, 1).psi, 0);
}

}  // namespace
}  // namespace narrow::calib
