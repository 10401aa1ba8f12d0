#include "search/mix.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace narrow::search {
namespace {

using quant::NodeFormat;

/// The same to and from every carrier.
CastCosts casts(double ms) {
  CastCosts costs = {};
  for (size_t c = 1; c < kCarriers; ++c) costs[c] = {ms, ms};
  return costs;
}

CastCosts random_casts(Random& random) {
  CastCosts costs = {};
  for (size_t c = 1; c < kCarriers; ++c) costs[c] = {random.uniform(0, 0.1), random.uniform(0, 0.1)};
  return costs;
}

/// A chain with a shortcut every third layer, which is another value or the one that the next layer reads;
/// narrower is faster, smaller and noisier, mostly. Not every layer has every format; every fourth is a norm,
/// which has no integers.
MixProblem random_problem(uint64_t seed, size_t layers) {
  Random random(seed);
  MixProblem problem;
  std::vector<CastCosts> made;  // what a layer makes
  for (size_t l = 0; l < layers; ++l) {
    const double ms = random.uniform(0.1, 1), noise = std::exp(random.uniform(-8, -2)),
                 bytes = random.uniform(1, 10);
    MixLayer layer{std::to_string(l),
                   std::to_string(l),
                   {{NodeFormat::fp32, ms, 0, 4 * bytes},
                    {NodeFormat::fp16, ms * random.uniform(0.4, 0.9), noise * 0.01, 2 * bytes},
                    {NodeFormat::int8, ms * random.uniform(0.2, 1.1), noise, bytes}}};
    if (l % 2 == 0)
      layer.choices.push_back({NodeFormat::int8_dynamic, ms * random.uniform(0.3, 1.2), noise / 2, bytes});
    if (l % 3 != 1) layer.choices.push_back({NodeFormat::int4, ms, 2 * noise, 0.6 * bytes});
    if (l % 4 == 3)
      layer.choices = {{NodeFormat::fp32, ms / 4},
                       {NodeFormat::fp16, ms / 4 * random.uniform(0.4, 0.9), noise * 0.02},
                       {NodeFormat::bf16, ms / 4 * random.uniform(0.4, 0.9), noise * 0.1}};
    problem.layers.push_back(layer);
    made.push_back(random_casts(random));
    if (l > 0) problem.edges.push_back({l - 1, l, made[l - 1], l - 1});
    if (l % 4 == 3) problem.edges.back().ms[static_cast<size_t>(Carrier::u8)].leave = 0;
    if (l > 2 && l % 3 == 0) {
      const bool shared = l % 2 == 0;
      problem.edges.push_back(
          {l - 3, l, shared ? made[l - 3] : random_casts(random), shared ? l - 3 : layers + l});
    }
  }
  return problem;
}

/// Every choice there is.
template <class Better>
Mix by_trying_all(const MixProblem& problem, Mix best, const Better& better) {
  std::vector<size_t> choice(problem.layers.size(), 0);
  while (true) {
    Mix mix = price(problem, choice);
    if (better(mix, best)) best = std::move(mix);
    size_t l = 0;
    while (l < choice.size() && ++choice[l] == problem.layers[l].choices.size()) choice[l++] = 0;
    if (l == choice.size()) return best;
  }
}

double all_noise(const MixProblem& problem) {
  double all = 0;
  for (const MixLayer& layer : problem.layers)
    for (const FormatCost& choice : layer.choices)
      all += choice.format == NodeFormat::int8 ? choice.noise : 0;
  return all;
}

struct Prices {
  double per_ms, per_byte;
};

TEST(Mix, IsTheCheapestOfAll) {
  for (uint64_t seed = 1; seed <= 6; ++seed)
    for (const Prices prices : {Prices{1, 0}, Prices{0.001, 1}, Prices{1, 0.1}}) {
      MixProblem problem = random_problem(seed, 6);
      problem.per_ms = prices.per_ms, problem.per_byte = prices.per_byte;
      const double all = all_noise(problem);
      for (const double share : {1.0, 0.5, 0.2, 0.05, 0.001}) {
        const auto mix = best_mix(problem, share * all);
        ASSERT_TRUE(mix.ok()) << mix.error().message();
        const Mix best = by_trying_all(problem, Mix{.price = HUGE_VAL}, [&](const Mix& a, const Mix& b) {
          return a.noise <= share * all && a.price < b.price;
        });
        EXPECT_LE(mix->noise, share * all * (1 + 1e-9));
        EXPECT_NEAR(mix->price, best.price, 1e-4 * best.price) << seed << ' ' << share;
      }
    }
}

TEST(Mix, TheQuietestIsTheQuietestOfAllThatAreCheapEnough) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    const MixProblem problem = random_problem(seed, 6);
    const double fp32 = uniform_mix(problem, NodeFormat::fp32).price;
    for (const double share : {0.95, 0.8, 0.6}) {
      const Mix best = by_trying_all(problem, Mix{.noise = HUGE_VAL}, [&](const Mix& a, const Mix& b) {
        return a.price <= share * fp32 && a.noise < b.noise;
      });
      const auto mix = quietest_mix(problem, share * fp32);
      ASSERT_EQ(mix.ok(), !best.choice.empty()) << seed << ' ' << share;
      if (!mix.ok()) continue;
      EXPECT_LE(mix->price, share * fp32 * (1 + 1e-9));
      EXPECT_NEAR(mix->noise, best.noise, 1e-4 * best.noise + 1e-12) << seed << ' ' << share;
    }
  }
}

TEST(Mix, CastsKeepNeighboursTogether) {
  MixProblem problem{{{"a", "a", {{NodeFormat::fp32, 1, 0}, {NodeFormat::int8, 0.5, 0}}},
                      {"b", "b", {{NodeFormat::fp32, 0.2, 0}, {NodeFormat::int8, 0.3, 0}}},
                      {"c", "c", {{NodeFormat::fp32, 1, 0}, {NodeFormat::int8, 0.5, 0}}}},
                     {{0, 1, casts(0.2)}, {1, 2, casts(0.2)}}};
  auto mix = best_mix(problem, 1);
  ASSERT_TRUE(mix.ok());
  EXPECT_EQ(mix->choice, (std::vector<size_t>{1, 1, 1}));  // fp32 for b saves 0.1 and casts 0.4
  for (MixEdge& edge : problem.edges) edge.ms = casts(0.04);
  mix = best_mix(problem, 1);
  ASSERT_TRUE(mix.ok());
  EXPECT_EQ(mix->choice, (std::vector<size_t>{1, 0, 1}));
  EXPECT_NEAR(mix->ms, 1.28, 1e-12);
}

/// What int8-dynamic and int4 layers read and make is FP32.
TEST(Mix, OnlyCarriersThatDifferAreCast) {
  CastCosts costs = {};
  costs[static_cast<size_t>(Carrier::f16)] = {.leave = 1, .enter = 2};
  costs[static_cast<size_t>(Carrier::u8)] = {.leave = 4, .enter = 8};
  MixProblem problem;
  const std::vector<FormatCost> every = {{NodeFormat::fp32},
                                         {NodeFormat::fp16},
                                         {NodeFormat::int8},
                                         {NodeFormat::int8_dynamic},
                                         {NodeFormat::int4}};
  problem.layers = {{"a", "a", every}, {"b", "b", every}};
  problem.edges = {{0, 1, costs}};
  const double wanted[5][5] = {
      {0, 2, 8, 0, 0}, {1, 0, 9, 1, 1}, {4, 6, 0, 4, 4}, {0, 2, 8, 0, 0}, {0, 2, 8, 0, 0}};
  for (size_t a = 0; a < 5; ++a)
    for (size_t b = 0; b < 5; ++b) EXPECT_EQ(price(problem, {a, b}).ms, wanted[a][b]) << a << ' ' << b;
}

/// What a norm makes is quantized once for the three products that read it, not once for each.
TEST(Mix, ReadersOfAValueShareItsCasts) {
  CastCosts costs = {};
  costs[static_cast<size_t>(Carrier::f16)] = {.leave = 1, .enter = 2};
  costs[static_cast<size_t>(Carrier::u8)] = {.leave = 4, .enter = 8};
  MixProblem problem;
  const std::vector<FormatCost> every = {{NodeFormat::fp32}, {NodeFormat::fp16}, {NodeFormat::int8}};
  problem.layers = {
      {"norm", "norm", {every[0], every[1]}}, {"q", "q", every}, {"k", "k", every}, {"v", "v", every}};
  problem.edges = {{0, 1, costs, 7}, {0, 2, costs, 7}, {0, 3, costs, 7}};
  EXPECT_EQ(price(problem, {0, 2, 2, 2}).ms, 8);
  EXPECT_EQ(price(problem, {0, 2, 2, 1}).ms, 8 + 2);
  EXPECT_EQ(price(problem, {1, 2, 0, 2}).ms, 1 + 8);  // left once, also for the one in FP32
  EXPECT_EQ(price(problem, {1, 1, 1, 1}).ms, 0);
  problem.edges[0].ms[static_cast<size_t>(Carrier::u8)].enter = 0;  // this reader does it in passing
  EXPECT_EQ(price(problem, {0, 2, 2, 2}).ms, 8);
  EXPECT_EQ(price(problem, {0, 2, 0, 0}).ms, 0);
  problem.edges[2].value = 8;
  EXPECT_EQ(price(problem, {0, 2, 2, 2}).ms, 2 * 8);
}

/// Of every choice there is, the cheapest keeps a norm in the format of the products behind it, or in FP32.
TEST(Mix, NormsFollowTheirProductsWhereThatIsCheapest) {
  CastCosts costs = casts(0.05);
  MixProblem problem;
  const auto product = [](const char* name, double int8_noise) {
    return MixLayer{
        name,
        name,
        {{NodeFormat::fp32, 2, 0}, {NodeFormat::fp16, 1, 0.001}, {NodeFormat::int8, 0.5, int8_noise}}};
  };
  const auto norm = [](const char* name) {
    return MixLayer{name, name, {{NodeFormat::fp32, 0.2, 0}, {NodeFormat::fp16, 0.12, 0.001}}};
  };
  problem.layers = {norm("norm1"),   product("q", 5), product("k", 5),      norm("attention"),
                    product("o", 5), norm("norm2"),   product("fc1", 0.01), product("fc2", 0.01)};
  problem.edges = {{0, 1, costs, 0}, {0, 2, costs, 0}, {1, 3, costs, 1}, {2, 3, costs, 2},
                   {3, 4, costs, 3}, {4, 5, costs, 4}, {5, 6, costs, 5}, {6, 7, costs, 6}};
  const auto mix = best_mix(problem, 0.1);
  ASSERT_TRUE(mix.ok()) << mix.error().message();
  const Mix best = by_trying_all(problem, Mix{.price = HUGE_VAL}, [](const Mix& a, const Mix& b) {
    return a.noise <= 0.1 && a.price < b.price;
  });
  EXPECT_EQ(mix->choice, best.choice);
  EXPECT_EQ(mix->choice, (std::vector<size_t>{1, 1, 1, 1, 1, 1, 2, 2}));
  EXPECT_EQ(uniform_mix(problem, NodeFormat::int8).choice, (std::vector<size_t>{0, 2, 2, 0, 2, 0, 2, 2}));
}

TEST(Mix, UniformMixesFallBackToFp32) {
  const MixProblem problem{{{"a", "a", {{NodeFormat::fp32, 1, 0, 8}, {NodeFormat::int4, 2, 0, 1}}},
                            {"b", "b", {{NodeFormat::fp32, 4, 0, 16}}}},
                           {}};
  const Mix mix = uniform_mix(problem, NodeFormat::int4);
  EXPECT_EQ(mix.choice, (std::vector<size_t>{1, 0}));
  EXPECT_EQ(mix.ms, 6);
  EXPECT_EQ(mix.bytes, 17);
}

TEST(Mix, UniformFourBitsLeaveTheRestInBytes) {
  const MixProblem problem{
      {{"a", "a", {{NodeFormat::fp32, 3, 0, 8}, {NodeFormat::int8, 1, 0, 2}}},
       {"b", "b", {{NodeFormat::fp32, 4, 0, 16}, {NodeFormat::int8, 1, 0, 4}, {NodeFormat::w4a8, 1, 0, 2}}},
       {"c", "c", {{NodeFormat::fp32, 5, 0, 6}}}},
      {}};
  EXPECT_EQ(uniform_mix(problem, NodeFormat::w4a8).choice, (std::vector<size_t>{1, 2, 0}));
}

TEST(Mix, TheFrontFallsInNoiseAndRisesInPrice) {
  const auto front = pareto_front(random_problem(3, 40));
  ASSERT_TRUE(front.ok());
  ASSERT_GT(front->size(), 3U);
  for (size_t i = 1; i < front->size(); ++i) {
    EXPECT_LE((*front)[i].noise, (*front)[i - 1].noise / 2);
    EXPECT_GE((*front)[i].price, (*front)[i - 1].price * (1 - 1e-4));
  }
}

/// An encoder of `blocks` blocks: norm, q, k, v, attention, o, norm, two products, and its residual stream.
MixProblem encoder_problem(uint64_t seed, size_t blocks) {
  Random random(seed);
  MixProblem problem;
  const auto layer = [&](double ms, bool unit) {
    const double noise = std::exp(random.uniform(-10, -4));
    const std::string name = std::to_string(problem.layers.size());
    MixLayer made{name,
                  name,
                  {{NodeFormat::fp32, ms},
                   {NodeFormat::fp16, ms * random.uniform(0.4, 0.8), noise / 1000},
                   {NodeFormat::bf16, ms * random.uniform(0.4, 0.8), noise / 30}}};
    if (!unit)
      for (const NodeFormat format : {NodeFormat::int8, NodeFormat::int8_dynamic, NodeFormat::int4})
        made.choices.push_back({format, ms * random.uniform(0.2, 1), noise * random.uniform(0.3, 2)});
    problem.layers.push_back(std::move(made));
    return problem.layers.size() - 1;
  };
  const auto reads = [&](size_t reader, size_t from) {
    problem.edges.push_back({from, reader, casts(0.02), from});
  };
  size_t stream = layer(1, false);
  for (size_t b = 0; b < blocks; ++b) {
    const size_t norm = layer(0.05, true), q = layer(1, false), k = layer(1, false), v = layer(1, false),
                 attention = layer(0.4, true), o = layer(1, false), norm2 = layer(0.05, true),
                 first = layer(4, false), second = layer(4, false);
    reads(norm, stream), reads(o, stream);
    for (const size_t part : {q, k, v}) reads(part, norm), reads(attention, part);
    reads(o, attention), reads(norm2, o), reads(second, o), reads(first, norm2), reads(second, first);
    stream = second;
  }
  return problem;
}

/// Nor one change of a layer, nor one of a norm together with what reads it, betters a mix of the front.
TEST(Mix, NothingNearAMixOfALargeEncoderIsBetter) {
  const MixProblem problem = encoder_problem(5, 12);
  ASSERT_EQ(problem.layers.size(), 109U);
  const auto front = pareto_front(problem);
  ASSERT_TRUE(front.ok());
  ASSERT_GT(front->size(), 5U);
  for (size_t i = 1; i < front->size(); ++i) {
    const Mix& mix = (*front)[i];
    const double bound = (*front)[i - 1].noise / 2, least = mix.price * (1 - 2e-4);
    for (size_t l = 0; l < problem.layers.size(); ++l)
      for (size_t c = 0; c < problem.layers[l].choices.size(); ++c) {
        std::vector<size_t> choice = mix.choice;
        choice[l] = c;
        const Mix one = price(problem, choice);
        EXPECT_FALSE(one.noise <= bound && one.price < least) << l << ' ' << c;
        for (const MixEdge& edge : problem.edges)
          if (edge.from == l && c < problem.layers[edge.to].choices.size()) choice[edge.to] = c;
        const Mix several = price(problem, choice);
        EXPECT_FALSE(several.noise <= bound && several.price < least) << l << ' ' << c;
      }
  }
}

TEST(Mix, WithoutNoiseTheFrontIsTheCheapest) {
  const MixProblem problem{{{"a", "a", {{NodeFormat::fp32, 1, 0}, {NodeFormat::int8, 0.5, 0}}}}, {}};
  const auto front = pareto_front(problem);
  ASSERT_TRUE(front.ok());
  ASSERT_EQ(front->size(), 1U);
  EXPECT_EQ(front->front().choice, std::vector<size_t>{1});
}

TEST(Mix, ABoundBelowTheQuietestIsAnError) {
  MixProblem problem{{{"a", "a", {{NodeFormat::fp16, 1, 0.5}, {NodeFormat::int8, 0.5, 1}}}}, {}};
  const auto mix = best_mix(problem, 0.4);
  ASSERT_FALSE(mix.ok());
  EXPECT_EQ(mix.error().code, Code::invalid_argument);
  EXPECT_FALSE(quietest_mix(problem, 0.4).ok());
}

}  // namespace
}  // namespace narrow::search
