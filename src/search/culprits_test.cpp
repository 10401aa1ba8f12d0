#include "search/culprits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>

namespace narrow::search {
namespace {

bool contains(const LayerSet& set, const LayerSet& needed) {
  return std::includes(set.begin(), set.end(), needed.begin(), needed.end());
}

/// Holds when all of `needed` are widened; the score is how many of them are. Counts, and refuses repetition.
struct Oracle {
  LayerSet needed;
  std::set<LayerSet> seen = {};

  SetTrial trial() {
    return [this](const LayerSet& set) -> Result<Outcome> {
      EXPECT_TRUE(std::is_sorted(set.begin(), set.end()));
      EXPECT_TRUE(seen.insert(set).second) << "tried twice";
      LayerSet hit;
      std::set_intersection(set.begin(), set.end(), needed.begin(), needed.end(), std::back_inserter(hit));
      return Outcome{.holds = hit.size() == needed.size(), .score = static_cast<double>(hit.size())};
    };
  }
};

TEST(Culprits, TheFirstFewOfTheRankingAreFoundInLogarithmicallyManyTrials) {
  for (size_t n = 1; n <= 20; ++n)
    for (size_t needed = 1; needed <= n; ++needed) {
      Oracle oracle;
      for (size_t i = 0; i < needed; ++i) oracle.needed.push_back(i);
      const auto found = find_culprits(n, oracle.trial(), {.shrink = false});
      ASSERT_TRUE(found.ok());
      EXPECT_TRUE(found->holds);
      EXPECT_EQ(found->layers, oracle.needed);
      EXPECT_EQ(found->trials, static_cast<int>(oracle.seen.size()));
      EXPECT_LE(found->trials, 2 * std::ceil(std::log2(static_cast<double>(n))) + 1) << n << " " << needed;
    }
}

TEST(Culprits, AnyConjunctionIsFoundExactlyWhereverItsMembersRank) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    const size_t n = 1 + random() % 30, members = 1 + random() % std::min<size_t>(n, 4);
    std::set<size_t> needed;
    while (needed.size() < members) needed.insert(random() % n);
    Oracle oracle{{needed.begin(), needed.end()}};
    const auto found = find_culprits(n, oracle.trial(), {.probes = random() % 6});
    ASSERT_TRUE(found.ok());
    EXPECT_TRUE(found->holds && found->minimal && !found->stopped);
    EXPECT_EQ(found->layers, oracle.needed) << "round " << round;
  }
}

/// What really happens: every layer brings noise, the gate bounds their sum.
TEST(Culprits, ASumBelowABoundIsReachedByASetThatCanSpareNobody) {
  std::mt19937 random(11);
  std::uniform_real_distribution<double> uniform(0, 1);
  for (int round = 0; round < 100; ++round) {
    const size_t n = 2 + random() % 25;
    std::vector<double> noise(n);
    double total = 0;
    for (double& x : noise) total += x = std::pow(uniform(random), 4);
    const double bound = total * uniform(random);
    const auto left = [&](const LayerSet& set) {
      double sum = total;
      for (const size_t i : set) sum -= noise[i];
      return sum;
    };
    const SetTrial trial = [&](const LayerSet& set) -> Result<Outcome> {
      return Outcome{.holds = left(set) <= bound, .score = -left(set)};
    };
    const auto found = find_culprits(n, trial, {.probes = n});
    ASSERT_TRUE(found.ok());
    if (!found->holds) continue;  // rounding: all widened leaves less than 0 of nothing
    EXPECT_LE(left(found->layers), bound);
    for (const size_t i : found->layers)
      EXPECT_GT(left(found->layers) + noise[i], bound) << "round " << round;
    // Probed all: the ranking is by noise, so no set is smaller.
    std::vector<double> sorted = noise;
    std::sort(sorted.rbegin(), sorted.rend());
    double sum = total;
    size_t fewest = 0;
    while (sum > bound) sum -= sorted[fewest++];
    EXPECT_EQ(found->layers.size(), fewest) << "round " << round;
  }
}

/// Widening layer 1 hurts unless 2 is wide too; 0 and 3 are both enough with 2.
TEST(Culprits, InteractionsThatAreNotMonotone) {
  const SetTrial trial = [](const LayerSet& set) -> Result<Outcome> {
    const auto has = [&](size_t i) { return contains(set, {i}); };
    return Outcome{.holds = has(2) && (has(0) || has(3)) && (!has(1) || has(3)), .score = 0};
  };
  const auto found = find_culprits(4, trial);
  ASSERT_TRUE(found.ok());
  EXPECT_TRUE(found->holds && found->minimal);
  EXPECT_TRUE(found->layers == (LayerSet{0, 2}) || found->layers == (LayerSet{2, 3}));
}

TEST(Culprits, AProbeThatHoldsEndsTheSearch) {
  Oracle oracle{{2}};
  const auto found = find_culprits(50, oracle.trial(), {.probes = 5});
  EXPECT_EQ(found->layers, (LayerSet{2}));
  EXPECT_EQ(found->trials, 3);
  EXPECT_TRUE(found->minimal);
  EXPECT_EQ(found->alone.size(), 3U);
}

TEST(Culprits, ProbesRankWhatTheOrderHadWrong) {
  Oracle oracle{{3, 4}};
  const auto found = find_culprits(40, oracle.trial(), {.probes = 6});
  EXPECT_EQ(found->layers, (LayerSet{3, 4}));
  EXPECT_EQ(found->trials, 6 + 1);  // then {3, 4} at once
}

TEST(Culprits, WhenNothingSufficesTheBestScoreIsReturned) {
  const SetTrial never = [](const LayerSet& set) -> Result<Outcome> {
    return Outcome{.holds = false,
                   .score = contains(set, {0, 1}) ? 10.0 - static_cast<double>(set.size()) : 0};
  };
  const auto found = find_culprits(5, never);
  EXPECT_FALSE(found->holds || found->minimal || found->stopped);
  EXPECT_EQ(found->trials, 4);  // 1 2 4 5
  EXPECT_EQ(found->layers, (LayerSet{0, 1}));
  const auto none = find_culprits(0, never);
  EXPECT_FALSE(none->holds);
  EXPECT_EQ(none->trials, 0);
}

TEST(Culprits, WhenTimeRunsOutTheSmallestSoFarIsReturnedAndSaidSo) {
  for (int trials = 0; trials < 12; ++trials) {
    Oracle oracle{{0, 9}}, timed{{0, 9}};
    const auto found = find_culprits(16, oracle.trial(), {.most_trials = trials + 1});
    const auto same = find_culprits(
        16, timed.trial(), {.out_of_time = [&] { return timed.seen.size() > static_cast<size_t>(trials); }});
    ASSERT_TRUE(found.ok() && same.ok());
    EXPECT_EQ(found->layers, same->layers);
    EXPECT_EQ(found->stopped, same->stopped);
    EXPECT_LE(found->trials, trials + 1);
    // 1 2 4 8 16 fail but the last; then 12 10 hold, 9 fails.
    EXPECT_EQ(found->holds, trials >= 4) << trials;
    EXPECT_EQ(found->minimal, !found->stopped);
    EXPECT_EQ(found->holds, contains(found->layers, oracle.needed));
  }
}

TEST(Culprits, ErrorsOfATrialPass) {
  const auto failed = find_culprits(3, [](const LayerSet&) -> Result<Outcome> {
    return Error{.code = Code::numerical, .subject = "trial"};
  });
  EXPECT_EQ(failed.error().code, Code::numerical);
}

}  // namespace
}  // namespace narrow::search
