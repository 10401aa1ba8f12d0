#include "verify/sequential.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace narrow::verify {
namespace {

using Verdict = GateResult::Verdict;

/// One sample: FP32 is right with probability `right`; of those `lost` are lost, of the others `gained` won.
struct Truth {
  double right = 0.8, lost = 0, gained = 0;
  double drop() const { return right * lost - (1 - right) * gained; }
};

struct Outcome {
  Verdict verdict = Verdict::inconclusive;
  int64_t used = 0;
};

Outcome simulate(const char* gate, const Truth& truth, int64_t most, uint64_t seed) {
  Random random(seed);
  auto sequential = SequentialGate::create(*parse_gate(gate));
  EXPECT_TRUE(sequential.ok());
  while (sequential->units() < most && sequential->verdict() == Verdict::inconclusive) {
    SampleScore reference, build;
    reference.top1 = random.uniform() < truth.right;
    build.top1 = random.uniform() < (reference.top1 ? 1 - truth.lost : truth.gained);
    sequential->add({&build, 1}, {&reference, 1});
  }
  return {sequential->verdict(), sequential->units()};
}

/// The most of `runs` that may err when each does with probability alpha: five deviations above the mean,
/// once in three million.
double most_errors(double alpha, int runs) {
  return alpha * runs + 5 * std::sqrt(alpha * (1 - alpha) * runs);
}

TEST(SequentialGate, PassesAtTheMarginNoMoreOftenThanAlpha) {
  constexpr int kRuns = 400;
  // The drop is exactly 2 pp, 10 pp, and 5% of 80%: a pass, or a fail, is an error either way.
  for (const auto& [gate, truth] :
       {std::pair{"top1.drop<=2pp", Truth{.right = 0.8, .lost = 0.05, .gained = 0.1}},
        {"top1.drop<=10pp", Truth{.right = 0.8, .lost = 0.125, .gained = 0}},
        {"top1.drop<=5%", Truth{.right = 0.8, .lost = 0.05, .gained = 0}}}) {
    int passed = 0, failed = 0;
    for (int run = 0; run < kRuns; ++run) {
      const Verdict verdict = simulate(gate, truth, 1000, static_cast<uint64_t>(run) + 1).verdict;
      passed += verdict == Verdict::passed, failed += verdict == Verdict::failed;
    }
    EXPECT_LE(passed, most_errors(0.025, kRuns)) << gate;
    EXPECT_LE(failed, most_errors(0.025, kRuns)) << gate;
  }
}

TEST(SequentialGate, StopsEarlyWhenThingsAreClear) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Outcome good = simulate("top1.drop<=5pp", {.right = 0.8, .lost = 0, .gained = 0}, 2000, seed),
                  bad = simulate("top1.drop<=5pp", {.right = 0.8, .lost = 0.4, .gained = 0}, 2000, seed);
    EXPECT_EQ(good.verdict, Verdict::passed);
    EXPECT_EQ(bad.verdict, Verdict::failed);
    // (ln 40 - ln of the largest stake's share of the money) / ln(1 + 0.99 * 0.05 / 0.95) = 90, where no
    // answer changed.
    EXPECT_LE(good.used, 90);
    EXPECT_LE(bad.used, 200);
  }
}

TEST(SequentialGate, DecidesTheOtherWayRound) {
  // Agreement of rows: 99 of 100 in every sample.
  auto gate = SequentialGate::create(*parse_gate("agreement>=90%"));
  ASSERT_TRUE(gate.ok());
  SampleScore score;
  score.rows = 100, score.agree = 99;
  while (gate->verdict() == Verdict::inconclusive && gate->units() < 1000)
    gate->add({&score, 1}, {&score, 1});
  EXPECT_EQ(gate->verdict(), Verdict::passed);
  EXPECT_LE(gate->units(), 200);
  const GateResult result = gate->result(GateResult{});
  EXPECT_LE(*result.p, 0.025);
  EXPECT_EQ(result.level, 0.95);
  EXPECT_GE(result.interval->low, 90);
  EXPECT_LE(result.interval->low, 99);
  EXPECT_GE(result.interval->high, 99);
}

TEST(BettingInterval, CoversAtEverySizeAtOnce) {
  // 60 streams, each looked at three times: all of its intervals must cover, but for 1 stream in 20.
  constexpr int kStreams = 60;
  int missed = 0;
  for (int stream = 0; stream < kStreams; ++stream) {
    Random random(static_cast<uint64_t>(stream) + 7);
    std::vector<double> numbers;
    bool all = true;
    for (int i = 1; i <= 300; ++i) {
      numbers.push_back(random.uniform() < 0.1 ? 1 : 0);
      if (i % 100 != 0) continue;
      const Interval interval = betting_interval(numbers, 0, 1, 0.025);
      all = all && interval.low <= 0.1 && 0.1 <= interval.high;
    }
    missed += all ? 0 : 1;
  }
  EXPECT_LE(missed, most_errors(0.05, kStreams));
}

TEST(Bet, WinsNothingOnTheAverage) {
  // All 2^10 streams of fair coins, bound 1/2: the mean of the money stays 1.
  double mean = 0;
  for (int stream = 0; stream < 1024; ++stream) {
    Bet bet(0.5, 1);
    for (int i = 0; i < 10; ++i) bet.add((stream >> i) & 1);
    mean += std::exp(bet.log_money()) / 1024;
  }
  EXPECT_NEAR(mean, 1, 1e-12);
}

TEST(SequentialGate, OnlyMeansOfBoundedNumbers) {
  for (const char* gate : {"sqnr>=20dB", "perplexity.rise<=1%", "f1.drop<=1pp", "kld<=0.1", "top1.rise<=1%",
                           "top1.drop<=100pp", "agreement>=100%", "top1>=0%"}) {
    const auto created = SequentialGate::create(*parse_gate(gate));
    ASSERT_FALSE(created.ok()) << gate;
    EXPECT_EQ(created.error().code, Code::usage);
  }
}

TEST(SequentialGate, SamplesDrawnTogetherCountOnce) {
  auto gate = SequentialGate::create(*parse_gate("top1.drop<=5pp"));
  ASSERT_TRUE(gate.ok());
  const std::vector<SampleScore> four(4);
  gate->add(four, four);
  EXPECT_EQ(gate->units(), 1);
}

}  // namespace
}  // namespace narrow::verify
