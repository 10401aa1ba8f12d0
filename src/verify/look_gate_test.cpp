#include "verify/look_gate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"

namespace narrow::verify {
namespace {

using Verdict = GateResult::Verdict;
using Scores = std::vector<SampleScore>;

/// Samples of one row whose divergences are exponential, as skewed as those of real builds.
Scores divergences(double mean, int64_t count, uint64_t seed) {
  Random random(seed);
  Scores scores(static_cast<size_t>(count));
  for (SampleScore& s : scores) s.rows = 1, s.kld = -mean * std::log(1 - random.uniform());
  return scores;
}

struct Outcome {
  Verdict verdict = Verdict::inconclusive;
  int64_t used = 0;
};

Outcome run(const char* text, const Scores& build, double alpha = kSequentialError) {
  const auto all = std::ssize(build);
  auto gate = LookGate::create(*parse_gate(text), all, 7);
  EXPECT_TRUE(gate.ok());
  const Scores reference(build.size());
  int64_t n = 0;
  while (n < all && verdict_of(gate->evidence(), alpha) == Verdict::inconclusive) {
    ++n;
    gate->add(std::span(build).first(static_cast<size_t>(n)),
              std::span(reference).first(static_cast<size_t>(n)), n);
  }
  return {verdict_of(gate->evidence(), alpha), n};
}

TEST(LookGate, LooksAtQuartersOfQuarters) {
  EXPECT_EQ(look_sizes(10'000), (std::vector<int64_t>{157, 625, 2500, 10'000}));
  EXPECT_EQ(look_sizes(2000), (std::vector<int64_t>{125, 500, 2000}));
  EXPECT_EQ(look_sizes(40), (std::vector<int64_t>{40}));
}

TEST(LookGate, ErrsAtTheMarginNoMoreOftenThanAlpha) {
  // The mean is the bound: a pass or a fail is an error. Five deviations above the mean of as many as may
  // err.
  constexpr int kRuns = 400;
  const double most = 0.025 * kRuns + 5 * std::sqrt(0.025 * 0.975 * kRuns);
  int passed = 0, failed = 0;
  for (int i = 0; i < kRuns; ++i) {
    const Verdict verdict = run("kld<=0.05", divergences(0.05, 256, static_cast<uint64_t>(i) + 1)).verdict;
    passed += verdict == Verdict::passed, failed += verdict == Verdict::failed;
  }
  EXPECT_LE(passed, most);
  EXPECT_LE(failed, most);
}

TEST(LookGate, ClearThingsAreDecidedAtTheFirstLookAsOnAllSamples) {
  for (const auto& [mean, wanted] : {std::pair{0.01, Verdict::passed}, {0.25, Verdict::failed}}) {
    const Scores build = divergences(mean, 2000, 3);
    const Outcome outcome = run("kld<=0.05", build);
    EXPECT_EQ(outcome.verdict, wanted);
    EXPECT_EQ(outcome.used, 125);
    const Scores reference(build.size());
    const auto on_all =
        check_gate(*parse_gate("kld<=0.05"), make_figures(build, reference, 1), {}, Proof::ci);
    EXPECT_EQ(on_all->verdict, wanted);
  }
}

TEST(CorrectedP, WithoutBiasAndSkewnessIsTheShareBeyond) {
  std::vector<double> even;  // around 0, symmetric
  for (int i = 0; i < 999; ++i) even.push_back((i - 499) / 100.0);
  const Evidence e = corrected_p(even, 0, 0, 4.5);
  EXPECT_NEAR(e.pass_p, (999 - 949 - 0.5 + 0.5) / 1000, 1e-9);
  EXPECT_NEAR(e.pass_p + e.fail_p, 1, 1e-12);
  // Where resampling errs upwards (an estimate below the median) p falls.
  EXPECT_LT(corrected_p(even, -0.5, 0, 4.5).pass_p, e.pass_p);
  // Of values that are all alike, p is half of one of 1000; else it falls on beyond them.
  EXPECT_NEAR(corrected_p(std::vector<double>(999, 2.0), 2, 0, 5).fail_p, 0.9995, 1e-3);
  EXPECT_LT(corrected_p(even, 0, 0, 10).pass_p, 1e-8);
  EXPECT_GT(corrected_p(even, 0, 0, -10).pass_p, 1 - 1e-8);
}

TEST(CorrectedP, TurnsResampledMeansOfASkewedFigureIntoNearlyItsExactP) {
  // 2 n m of the mean m of n exponentials of mean 1 is a chi-square with 2 n degrees: at n = 50 a mean of
  // 0.75 or less has probability 0.0292. Plain percentiles say 0.0106.
  Scores build(50);
  double sum = 0;
  for (size_t i = 0; i < build.size(); ++i) {  // the exponential's quantiles
    build[i].rows = 1, build[i].kld = -std::log(1 - (static_cast<double>(i) + 0.5) / 50);
    sum += build[i].kld;
  }
  for (SampleScore& s : build) s.kld *= 0.75 * 50 / sum;
  auto gate = LookGate::create(*parse_gate("kld<=1"), 50, 3);
  const Scores reference(50);
  gate->add(build, reference, 50);
  EXPECT_GT(gate->evidence().pass_p, 0.0292 / 2);
  EXPECT_LT(gate->evidence().pass_p, 0.0292 * 2);
}

TEST(LookGate, WhatIsNoNumberFails) {
  Scores build = divergences(0.01, 100, 3);
  build[20].kld = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(run("kld<=0.05", build).verdict, Verdict::failed);
  build[20].kld = std::numeric_limits<double>::infinity();
  EXPECT_EQ(run("kld<=0.05", build).verdict, Verdict::failed);
}

TEST(LookGate, EvenAnswersOfClassesProveNothingOfF1) {
  // Every answer is right in both: resampling gives 0 +- 0 at any number of samples.
  Scores build(60);
  for (SampleScore& s : build) s.labelled = s.top1 = true, s.label = s.answer = 0;
  auto gate = LookGate::create(*parse_gate("f1.drop<=1pp"), 60, 1);
  const Scores reference = build;
  gate->add(build, reference, 60);
  EXPECT_EQ(gate->evidence().pass_p, 1);
}

TEST(LookGate, AProgramsNumberIsRefused) {
  const auto gate = LookGate::create(*parse_gate("metric.drop<=1%"), 100, 1);
  ASSERT_FALSE(gate.ok());
  EXPECT_EQ(gate.error().code, Code::usage);
}

}  // namespace
}  // namespace narrow::verify
