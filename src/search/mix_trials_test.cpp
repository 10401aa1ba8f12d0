#include "search/mix_trials.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/random.h"

namespace narrow::search {
namespace {

using quant::NodeFormat;

/// A chain of layers in fp32, fp16 or int8.
MixProblem chain(uint64_t seed, size_t layers) {
  Random random(seed);
  MixProblem problem;
  CastCosts casts = {};
  for (size_t c = 1; c < kCarriers; ++c) casts[c] = {0.005, 0.005};
  for (size_t l = 0; l < layers; ++l) {
    const double ms = random.uniform(0.2, 1), noise = std::exp(random.uniform(-6, -2));
    problem.layers.push_back({std::to_string(l),
                              std::to_string(l),
                              {{NodeFormat::fp32, ms, 0},
                               {NodeFormat::fp16, ms * 0.6, noise * 0.01},
                               {NodeFormat::int8, ms * random.uniform(0.2, 0.5), noise}}});
    if (l > 0) problem.edges.push_back({l - 1, l, casts});
  }
  return problem;
}

/// The truth that trials reveal: predicted noises times factors that nobody knows.
class Truth {
 public:
  Truth(const MixProblem& problem, std::vector<double> factors, double bound)
      : problem_(problem), factors_(std::move(factors)), bound_(bound) {}

  bool holds(const Mix& mix) const {
    double noise = 0;
    for (size_t l = 0; l < mix.choice.size(); ++l)
      noise += factors_[l] * problem_.layers[l].choices[mix.choice[l]].noise;
    return noise <= bound_;
  }
  MixTest test() {
    return [this](const Mix& mix) -> Result<bool> {
      EXPECT_TRUE(asked_.insert(mix.choice).second) << "asked twice";
      return holds(mix);
    };
  }
  size_t asked() const { return asked_.size(); }

 private:
  const MixProblem& problem_;
  std::vector<double> factors_;
  double bound_;
  std::set<std::vector<size_t>> asked_;
};

double int8_noise(const MixProblem& problem) { return uniform_mix(problem, NodeFormat::int8).noise; }

TEST(MixTrials, WherePredictionsAreTrueTheBestIsNearTheOptimum) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const MixProblem problem = chain(seed, 24);
    const double bound = 0.3 * int8_noise(problem);
    const Mix fp32 = uniform_mix(problem, NodeFormat::fp32);
    Truth truth(problem, std::vector<double>(24, 1.0), bound);
    const auto tried = try_mixes(problem, *pareto_front(problem), {.rival_price = fp32.price}, truth.test());
    ASSERT_TRUE(tried.ok() && tried->best);
    EXPECT_TRUE(truth.holds(*tried->best));
    const auto optimum = best_mix(problem, bound);
    EXPECT_GE(tried->best->price, optimum->price * (1 - 1e-4));
    // Four halvings of at most an octave leave bounds 2^(1/16) apart; single layers make up for some of it.
    EXPECT_LE(tried->best->price, 1.02 * optimum->price) << seed;
    EXPECT_LE(truth.asked(), 80U);
  }
}

/// One layer disturbs a hundred times more than predicted: it is found out, and the others stay narrow.
TEST(MixTrials, GroupsOfLayersFindWhatPredictionsMissed) {
  const MixProblem problem = chain(5, 16);
  std::vector<double> factors(16, 0.01);
  factors[7] = 100;
  // In fp16 it is within the bound, in int8 it is not; all the others may be int8.
  const double guilty = problem.layers[7].choices[2].noise;
  Truth truth(problem, factors, 2 * guilty + 0.02 * int8_noise(problem));
  const auto tried = try_mixes(problem, *pareto_front(problem),
                               {.rival_price = uniform_mix(problem, NodeFormat::fp32).price}, truth.test());
  ASSERT_TRUE(tried.ok() && tried->best);
  for (size_t l = 0; l < 16; ++l) EXPECT_EQ(tried->best->choice[l], l == 7 ? 1U : 2U) << l;
}

TEST(MixTrials, WhatIsNotBetterThanTheRivalIsNotTried) {
  const MixProblem problem = chain(2, 12);
  const auto front = pareto_front(problem);
  Truth truth(problem, std::vector<double>(12, 1.0), 1e9);
  const auto tried = try_mixes(problem, *front, {.rival_price = front->front().price * 1.02}, truth.test());
  ASSERT_TRUE(tried.ok());
  EXPECT_FALSE(tried->best);
  EXPECT_TRUE(tried->none_is_cheaper);
  EXPECT_EQ(truth.asked(), 0U);
}

/// The proof: every choice there is, one after the other, is too dear or does not hold.
TEST(MixTrials, WhereNoneHoldsTheQuietestThatWouldBeWorthItProvesIt) {
  const MixProblem problem = chain(3, 8);
  const double rival = uniform_mix(problem, NodeFormat::fp16).price;
  Truth truth(problem, std::vector<double>(8, 1.0), 1e-5 * int8_noise(problem));
  const auto tried = try_mixes(problem, *pareto_front(problem), {.rival_price = rival}, truth.test());
  ASSERT_TRUE(tried.ok());
  EXPECT_FALSE(tried->best);
  ASSERT_TRUE(tried->proof);
  EXPECT_LT(tried->proof->price, 0.97 * rival * (1 + 1e-9));
  std::vector<size_t> choice(8, 0);
  for (int i = 0; i < 6561; ++i) {  // 3^8
    for (int l = 0, rest = i; l < 8; ++l, rest /= 3)
      choice[static_cast<size_t>(l)] = static_cast<size_t>(rest % 3);
    const Mix mix = price(problem, choice);
    EXPECT_FALSE(mix.price < 0.97 * rival && truth.holds(mix));
    if (mix.price < 0.97 * rival) {
      EXPECT_GE(mix.noise, tried->proof->noise * (1 - 1e-4));
    }
  }
}

TEST(MixTrials, TimeThatRanOutEndsTheSearchWithTheBestSoFar) {
  const MixProblem problem = chain(4, 24);
  Truth truth(problem, std::vector<double>(24, 1.0), 0.3 * int8_noise(problem));
  for (const size_t most : {size_t{0}, size_t{5}}) {
    Truth fresh = truth;
    const auto tried = try_mixes(problem, *pareto_front(problem),
                                 {.rival_price = uniform_mix(problem, NodeFormat::fp32).price,
                                  .out_of_time = [&] { return fresh.asked() >= most; }},
                                 fresh.test());
    ASSERT_TRUE(tried.ok());
    EXPECT_TRUE(tried->out_of_time);
    EXPECT_LE(fresh.asked(), most);
    EXPECT_FALSE(tried->proof);
  }
}

TEST(MixTrials, AnErrorOfATrialEndsTheSearch) {
  const MixProblem problem = chain(4, 6);
  const auto tried = try_mixes(
      problem, *pareto_front(problem), {.rival_price = uniform_mix(problem, NodeFormat::fp32).price},
      [](const Mix&) -> Result<bool> { return Error{.code = Code::io, .subject = "disk"}; });
  ASSERT_FALSE(tried.ok());
  EXPECT_EQ(tried.error().code, Code::io);
}

}  // namespace
}  // namespace narrow::search
