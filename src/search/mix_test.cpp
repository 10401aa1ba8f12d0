#include "search/mix.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace narrow::search {
namespace {

using quant::NodeFormat;

/// A chain with a shortcut every third layer; narrower is faster and noisier, mostly.
MixProblem random_problem(uint64_t seed, size_t layers) {
  Random random(seed);
  MixProblem problem;
  for (size_t l = 0; l < layers; ++l) {
    const double ms = random.uniform(0.1, 1), noise = std::exp(random.uniform(-8, -2));
    problem.layers.push_back({std::to_string(l),
                              std::to_string(l),
                              {{NodeFormat::fp32, ms, 0},
                               {NodeFormat::fp16, ms * random.uniform(0.4, 0.9), noise * 0.01},
                               {NodeFormat::int8, ms * random.uniform(0.2, 1.1), noise}}});
    if (l > 0) problem.edges.push_back({l - 1, l, random.uniform(0, 0.2)});
    if (l > 2 && l % 3 == 0) problem.edges.push_back({l - 3, l, random.uniform(0, 0.2)});
  }
  return problem;
}

/// Every choice there is.
Mix by_trying_all(const MixProblem& problem, double bound) {
  std::vector<size_t> choice(problem.layers.size(), 0);
  Mix best{{}, HUGE_VAL, 0};
  while (true) {
    const Mix mix = price(problem, choice);
    if (mix.noise <= bound && mix.ms < best.ms) best = mix;
    size_t l = 0;
    while (l < choice.size() && ++choice[l] == problem.layers[l].choices.size()) choice[l++] = 0;
    if (l == choice.size()) return best;
  }
}

TEST(Mix, IsTheFastestOfAll) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const MixProblem problem = random_problem(seed, 8);
    double all = 0;
    for (const MixLayer& layer : problem.layers) all += layer.choices.back().noise;
    for (const double share : {1.0, 0.5, 0.2, 0.05, 0.001}) {
      const auto mix = fastest_mix(problem, share * all);
      ASSERT_TRUE(mix.ok()) << mix.error().message();
      const Mix best = by_trying_all(problem, share * all);
      EXPECT_LE(mix->noise, share * all * (1 + 1e-9));
      EXPECT_NEAR(mix->ms, best.ms, 1e-4 * best.ms) << seed << ' ' << share;
    }
  }
}

TEST(Mix, CastsKeepNeighboursTogether) {
  MixProblem problem{{{"a", "a", {{NodeFormat::fp32, 1, 0}, {NodeFormat::int8, 0.5, 0}}},
                      {"b", "b", {{NodeFormat::fp32, 0.2, 0}, {NodeFormat::int8, 0.3, 0}}},
                      {"c", "c", {{NodeFormat::fp32, 1, 0}, {NodeFormat::int8, 0.5, 0}}}},
                     {{0, 1, 0.2}, {1, 2, 0.2}}};
  auto mix = fastest_mix(problem, 1);
  ASSERT_TRUE(mix.ok());
  EXPECT_EQ(mix->choice, (std::vector<size_t>{1, 1, 1}));  // fp32 for b saves 0.1 and casts 0.4
  for (MixEdge& edge : problem.edges) edge.ms = 0.04;
  mix = fastest_mix(problem, 1);
  ASSERT_TRUE(mix.ok());
  EXPECT_EQ(mix->choice, (std::vector<size_t>{1, 0, 1}));
  EXPECT_NEAR(mix->ms, 1.28, 1e-12);
}

TEST(Mix, TheFrontFallsInNoiseAndRisesInTime) {
  const auto front = pareto_front(random_problem(3, 40));
  ASSERT_TRUE(front.ok());
  ASSERT_GT(front->size(), 3U);
  for (size_t i = 1; i < front->size(); ++i) {
    EXPECT_LE((*front)[i].noise, (*front)[i - 1].noise / 2);
    EXPECT_GE((*front)[i].ms, (*front)[i - 1].ms * (1 - 1e-4));
  }
}

TEST(Mix, ABoundBelowTheQuietestIsAnError) {
  MixProblem problem{{{"a", "a", {{NodeFormat::fp16, 1, 0.5}, {NodeFormat::int8, 0.5, 1}}}}, {}};
  const auto mix = fastest_mix(problem, 0.4);
  ASSERT_FALSE(mix.ok());
  EXPECT_EQ(mix.error().code, Code::invalid_argument);
}

}  // namespace
}  // namespace narrow::search
