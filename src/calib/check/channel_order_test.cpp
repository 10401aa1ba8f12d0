#include "calib/check/channel_order.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace narrow::calib {
namespace {

/// By all 2^n outcomes.
double plain_tail(int n, int k, double p) {
  double sum = 0;
  for (unsigned outcome = 0; outcome < 1U << n; ++outcome) {
    const int ones = __builtin_popcount(outcome);
    if (ones >= k) sum += std::pow(p, ones) * std::pow(1 - p, n - ones);
  }
  return sum;
}

TEST(BinomialTail, SumsOutcomes) {
  for (const int n : {1, 5, 12})
    for (const double p : {0.1, 0.5, 0.93})
      for (int k = 0; k <= n + 1; ++k)
        EXPECT_NEAR(binomial_tail(n, k, p), plain_tail(n, k, p), 1e-12) << n << " " << k;
  EXPECT_EQ(binomial_tail(5, 3, 0), 0);
  EXPECT_EQ(binomial_tail(5, 3, 1), 1);
  EXPECT_NEAR(binomial_tail(10, 10, 0.5), std::pow(0.5, 10), 1e-15);
}

struct Pair {
  SetSamples as_is, swapped;
};

/// A model of 40 values of which one, "sees", is larger by `effect` deviations when channels are as trained.
Pair pair_of(int64_t samples, double effect, bool reversed, uint64_t seed) {
  Random random(seed);
  Pair pair;
  for (SetSamples* set : {&pair.as_is, &pair.swapped})
    for (int64_t i = 0; i < samples; ++i) set->selection.units.push_back(i);
  for (int v = 0; v < 40; ++v) {
    const std::string name = v == 23 ? "sees" : "v" + std::to_string(v);
    for (SetSamples* set : {&pair.as_is, &pair.swapped}) set->order.push_back(name);
    for (int64_t i = 0; i < samples; ++i) {
      // What the sample shows is in both and much larger.
      const double shown = 50 * random.normal();
      for (SetSamples* set : {&pair.as_is, &pair.swapped}) {
        const bool right = (set == &pair.as_is) != reversed;
        const double mean = shown + 0.7 * random.normal() + (v == 23 && right ? effect : 0);
        set->values[name].node = "Conv 'c'";
        set->values[name].moments.push_back({static_cast<float>(mean), 1, 0, 1});
      }
    }
  }
  return pair;
}

ChannelOrder compare(const Pair& calibration, const Pair& evaluation) {
  return compare_channel_order(calibration.as_is, calibration.swapped, evaluation.as_is, evaluation.swapped);
}

TEST(ChannelOrder, FindsAnExchange) {
  const Pair evaluation = pair_of(40, 6, false, 1);
  const ChannelOrder same = compare(pair_of(30, 6, false, 2), evaluation),
                     other = compare(pair_of(30, 6, true, 3), evaluation);
  EXPECT_EQ(same.value, "sees");
  EXPECT_FALSE(same.is_reversed);
  EXPECT_GT(same.power, 0.99);
  EXPECT_TRUE(other.is_reversed);
  EXPECT_GT(other.reversed, 25);
  EXPECT_EQ(other.samples, 30);
  EXPECT_NEAR(other.chance, binomial_tail(30, other.reversed, 0.5), 1e-15);
}

TEST(ChannelOrder, SaysSoWhenItCannotTell) {
  // Three samples cannot be rarer than one in eight.
  const ChannelOrder few = compare(pair_of(3, 6, true, 4), pair_of(40, 6, false, 5));
  EXPECT_FALSE(few.is_reversed);
  EXPECT_EQ(few.power, 0);
  // A model that takes no notice: votes of chosen noise. A thousandth of such pairs may be called reversed;
  // of 50 two or more would come with probability 0.001.
  int called = 0;
  double power = 0;
  for (uint64_t seed = 10; seed < 60; ++seed) {
    const ChannelOrder none = compare(pair_of(20, 0, false, seed), pair_of(20, 0, false, 1000 + seed));
    called += none.is_reversed ? 1 : 0;
    power += none.power / 50;
  }
  EXPECT_LT(called, 2);
  EXPECT_LT(power, 0.2);
}

TEST(ChannelOrder, GreySamplesDoNotVote) {
  Pair grey = pair_of(12, 6, false, 6);
  grey.swapped = grey.as_is;
  const ChannelOrder order = compare(grey, pair_of(40, 6, false, 7));
  EXPECT_EQ(order.samples, 0);
  EXPECT_FALSE(order.is_reversed);
  // Nor can grey evaluation say how a model reacts.
  const ChannelOrder none = compare(pair_of(12, 6, false, 8), grey);
  EXPECT_EQ(none.samples, 0);
  EXPECT_EQ(none.value, "");
}

}  // namespace
}  // namespace narrow::calib
