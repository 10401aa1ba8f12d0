// Outliers apart: which weights go, what it gains, and that codes and numbers beside them mean what they say.
#include "quant/outliers.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "data/test_samples.h"
#include "numerics/fp16.h"
#include "quant/apply.h"
#include "quant/codes.h"
#include "quant/digest.h"
#include "quant/half_quadratic.h"
#include "quant/plan_formats.h"
#include "quant/regions.h"
#include "quant/sequential_rounding.h"
#include "quant/test_weights.h"
#include "quant/weighted_fit.h"
#include "runtime/reference/reference.h"
#include "runtime/test_graphs.h"

namespace narrow::quant {
namespace {

/// One in twenty is four times as far out as the others.
Tensor heavy_tailed(const Shape& shape, uint64_t seed) {
  Random random(seed);
  Tensor w = Tensor::allocate(DType::f32, shape);
  for (float& x : w.mutable_data<float>())
    x = static_cast<float>(random.normal() * (random.uniform(0, 1) < 0.05 ? 4 : 1));
  return w;
}

double squared_error(const Tensor& weights, const GroupedWeights& stored) {
  const auto w = to_floats(weights), back = to_floats(dequantize_groups(stored));
  double sum = 0;
  for (size_t i = 0; i < w.size(); ++i)
    sum += std::pow(static_cast<double>(w[i]) - static_cast<double>(back[i]), 2);
  return sum;
}

std::vector<GroupOptions> formats() {
  return {{.bits = 4, .group_size = 32},
          {.bits = 3, .group_size = 16},
          {.bits = 2, .group_size = 0},
          {.bits = 8, .group_size = 32, .symmetric = true},
          {.bits = 2, .group_size = 16, .symmetric = true, .set = CodeSet::ternary},
          {.bits = 2, .group_size = 16, .symmetric = true, .set = CodeSet::binary}};
}

TEST(WeightsApart, PlacesAreReadBack) {
  const std::vector<int64_t> places = {0, 1, 256, 300, 555};
  const WeightsApart apart = make_apart(places);
  EXPECT_EQ(apart.places(), places);
  EXPECT_EQ(to_ints(apart.gaps), (std::vector<int64_t>{0, 1, 255, 44, 255}));
  EXPECT_EQ(apart.stored_bits(), 8 * (apart.gaps.bytes() + apart.values.bytes()));
  EXPECT_EQ(make_apart({}).count(), 0);
  EXPECT_EQ(half_number(1e9F), 65504.0F);
  EXPECT_EQ(half_number(-1e9F), -65504.0F);
}

/// Groups of 16 side by side; which single weight's absence takes most off the squared error, by trying all.
int64_t best_single(const Tensor& w, const GroupOptions& options, int64_t groups, double* gain) {
  const auto x = w.data<float>();
  int64_t best = -1;
  *gain = 0;
  for (int64_t g = 0; g < groups; ++g)
    for (int64_t i = 0; i < 16; ++i) {
      std::vector<float> all, rest;
      for (int64_t k = 0; k < 16; ++k) {
        all.push_back(x[static_cast<size_t>(k * groups + g)]);
        if (k != i) rest.push_back(all.back());
      }
      const auto error = [&](const std::vector<float>& numbers) {
        return weighted_error(numbers, std::vector<float>(numbers.size(), 1.0F), options,
                              fit_group(numbers, options, true));
      };
      const double gained = error(all) - error(rest);
      if (gained > *gain) *gain = gained, best = i * groups + g;
    }
  return best;
}

TEST(Outliers, TheFirstIsTheBestOfAll) {
  const GroupOptions options{.bits = 3, .group_size = 16};
  constexpr int64_t kGroups = 4;
  int64_t same = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const Tensor w = heavy_tailed({16, kGroups}, seed);
    const GroupedWeights stored = quantize_groups(w, 0, options);
    const std::vector<int64_t> found = find_outliers(w, stored, {}, 1.0 / (16 * kGroups));
    ASSERT_EQ(found.size(), 1U);
    double gain = 0;
    same += found[0] == best_single(w, options, kGroups, &gain) ? 1 : 0;
    EXPECT_LE(squared_error(w, quantize_groups(w, 0, options, fit_group, found)),
              squared_error(w, stored) - 0.8 * gain)
        << seed;
  }
  EXPECT_GE(same, 45);  // three candidates of a group's sixteen are looked at
}

TEST(Outliers, NoGapIsLongerThanAByteAndNoMoreGoThanMay) {
  for (const GroupOptions& options : formats())
    for (const double share : {0.005, 0.01, 0.05}) {
      const Tensor w = heavy_tailed({128, 48}, 7);
      const auto places = find_outliers(w, quantize_groups(w, 0, options), {}, share);
      EXPECT_LE(std::ssize(places), static_cast<int64_t>(share * 128 * 48));
      EXPECT_GE(std::ssize(places), static_cast<int64_t>(share * 128 * 48) - 2);
      int64_t before = -1;
      for (const int64_t place : places) {
        EXPECT_GT(place, before);
        EXPECT_LE(place - std::max<int64_t>(before, 0), kLargestGap);
        before = place;
      }
      EXPECT_LT(before, 128 * 48);
    }
}

/// Too few to reach from one to the next: none, rather than more than were asked for.
TEST(Outliers, FewerThanGapsAllowAreNone) {
  const Tensor w = heavy_tailed({512, 48}, 7);
  EXPECT_TRUE(find_outliers(w, quantize_groups(w, 0, {}), {}, 0.0001).empty());
}

TEST(Outliers, WhatFp16CannotHoldStays) {
  Tensor w = heavy_tailed({64, 4}, 3);
  w.mutable_data<float>()[17] = 1e6F, w.mutable_data<float>()[40] = -1e6F;
  const auto places = find_outliers(w, quantize_groups(w, 0, {}), {}, 0.1);
  EXPECT_FALSE(places.empty());
  for (const int64_t place : places) EXPECT_TRUE(place != 17 && place != 40);
}

/// The same weights, and data that are ten times as large in the channels of every second group.
TEST(Outliers, GoWhereTheDataMakeErrorsDear) {
  const Tensor w = heavy_tailed({32, 64}, 5);
  const GroupedWeights stored = quantize_groups(w, 0, {.bits = 3, .group_size = 16});
  const auto in_second = [&](float square) {
    WeightCosts costs{
        .square = std::vector<float>(32, 1.0F), .extent = 32, .inner = 64, .group_elements = 32 * 64};
    std::fill(costs.square.begin() + 16, costs.square.end(), square);
    const auto places = find_outliers(w, stored, costs, 0.02);
    EXPECT_EQ(places.size(), 40U);
    return std::count_if(places.begin(), places.end(), [](int64_t place) { return place / 64 >= 16; });
  };
  EXPECT_LT(in_second(1), 30);
  EXPECT_GE(in_second(100), 36);  // up to four lie on the way there, 1024 weights from the first
}

TEST(Outliers, CostsAreThoseOfTheChannelAWeightMeets) {
  const ir::Graph graph = testing_graphs::graph_from(R"(graph g(%x: f32[N,4,8,8], %z: f32[N,6]) {
  @w: f32[6,2,3,3] = blob 0 432
  @v: f32[5,6] = blob 1024 120
  %c = Conv(%x, @w) {group=2}
  %y = Gemm(%z, @v) {transB=1}
  return %c as "c", %y as "y"
}
)");
  calib::Profile profile;
  for (const auto& [name, channels] : {std::pair{"x", 4}, std::pair{"z", 6}}) {
    calib::ValueProfile& seen = profile.values[name];
    for (int c = 0; c < channels; ++c) {
      seen.channel_min.push_back(-1);
      seen.channel_square.push_back(static_cast<float>(c + 1));
    }
  }
  const auto nodes = graph.nodes();
  const WeightCosts conv = weight_costs(*nodes[0], &profile), gemm = weight_costs(*nodes[1], &profile);
  for (int64_t o = 0; o < 6; ++o)
    for (int64_t i = 0; i < 2; ++i)
      for (int64_t p = 0; p < 9; ++p) {
        const int64_t channel = o / 3 * 2 + i;
        EXPECT_EQ(conv.of((o * 2 + i) * 9 + p), static_cast<float>(channel + 1));
      }
  for (int64_t i = 0; i < 30; ++i) EXPECT_EQ(gemm.of(i), static_cast<float>(i % 6 + 1));
  EXPECT_EQ(weight_costs(*nodes[0], nullptr).of(5), 1.0F);
}

class Formats : public testing::TestWithParam<GroupOptions> {};
INSTANTIATE_TEST_SUITE_P(All, Formats, testing::ValuesIn(formats()),
                         [](const auto& parameter) { return std::to_string(parameter.index); });

/// Every number by its definition.
TEST_P(Formats, StandForCodesAndWhatIsApart) {
  const GroupOptions& options = GetParam();
  const Shape shape{96, 10};
  const Tensor w = heavy_tailed(shape, 11);
  const auto places = find_outliers(w, quantize_groups(w, 0, options), {}, 0.03);
  const GroupedWeights stored = quantize_groups(w, 0, options, fit_group, places);
  EXPECT_EQ(stored.apart.places(), places);
  const auto codes = to_ints(stored.codes);
  const auto scale = to_floats(stored.scale), back = to_floats(dequantize_groups(stored)),
             values = to_floats(stored.apart.values);
  size_t next = 0;
  for (int64_t i = 0; i < w.elements(); ++i) {
    const auto at = static_cast<size_t>(i);
    const auto g =
        static_cast<size_t>(options.group_size == 0 ? i / 10 : group_index(shape, 0, options.group_size, i));
    const int64_t zero = stored.zero_point.defined() ? to_ints(stored.zero_point)[g] : 0;
    float number = static_cast<float>(codes[at] - zero) * scale[g];
    if (next < places.size() && places[next] == i) {
      if (options.set != CodeSet::binary) {
        EXPECT_EQ(codes[at], zero);
      }
      EXPECT_NEAR(number + values[next], w.data<float>()[at], 8 * std::ldexp(1.0, -11));  // of FP16, below 16
      number += values[next++];
    }
    EXPECT_EQ(back[at], number) << i;
  }
  EXPECT_EQ(next, places.size());
}

TEST_P(Formats, ErrLessWithMoreApart) {
  const GroupOptions& options = GetParam();
  const Tensor w = heavy_tailed({256, 24}, 13);
  const GroupedWeights none = quantize_groups(w, 0, options);
  double before = squared_error(w, none);
  for (const double share : {0.005, 0.01, 0.02, 0.05}) {
    const auto places = find_outliers(w, none, {}, share);
    const GroupedWeights stored = quantize_groups(w, 0, options, fit_group, places);
    const double error = squared_error(w, stored);
    EXPECT_LT(error, before) << share;
    EXPECT_EQ(stored.stored_bits(), none.stored_bits() + 24 * std::ssize(places));
    before = error;
  }
}

// ---------------------------------------------------------------- in recipes

constexpr const char* kTwoProducts = R"(graph g(%x: f32[N,64]) {
  @w: f32[64,48] = blob 0 12288
  @v: f32[24,48] = blob 16384 4608
  @b: f32[24] = blob 32768 96
  %h = MatMul(%x, @w)
  %r = Relu(%h)
  %y = Gemm(%r, @v, @b) {transB=1}
  return %y as "y"
}
)";

data::Samples samples() {
  const ir::Graph graph = testing_graphs::graph_from(kTwoProducts);
  return data::Samples(testing_graphs::inputs_for(graph, 3, 64));
}

Recipe planned(const ir::Graph& graph, const GroupOptions& options) {
  return plan_weight_only(graph, nullptr, options);
}

TEST(Outliers, RecipesDoNotDependOnThreads) {
  const ir::Graph graph = testing_graphs::graph_from(kTwoProducts);
  const data::Samples data = samples();
  std::vector<std::string> digests;
  for (const int threads : {1, 3}) {
    const auto pool = std::make_shared<ThreadPool>(threads);
    Recipe recipe = planned(graph, {.bits = 3, .group_size = 16});
    const std::string before = digest(recipe);
    ASSERT_TRUE(set_outliers_apart(graph, nullptr, recipe, *pool, 2).ok());
    EXPECT_NE(digest(recipe), before);
    ASSERT_TRUE(round_sequentially(graph, recipe, data, pool).ok());
    digests.push_back(digest(recipe));
  }
  EXPECT_EQ(digests[0], digests[1]);
}

/// The graph that is written computes with the numbers that the recipe means.
TEST_P(Formats, AppliedGraphsHoldTheNumbers) {
  const ir::Graph graph = testing_graphs::graph_from(kTwoProducts);
  Recipe recipe = planned(graph, GetParam());
  ThreadPool pool(2);
  const auto report = set_outliers_apart(graph, nullptr, recipe, pool, 3);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->layers, 2);
  EXPECT_EQ(report->apart, recipe.groups.at("h").apart.count() + recipe.groups.at("y").apart.count());
  EXPECT_GT(report->apart, 0);
  const auto applied = apply(graph, recipe);
  ASSERT_TRUE(applied.ok()) << applied.error().message();
  ir::Graph plain = graph.clone();
  for (ir::Node* node : plain.nodes())
    if (is_heavy(*node))
      plain.set_input(
          node, 1,
          plain.add_constant("plain_" + key_of(*node), dequantize_groups(recipe.groups.at(key_of(*node)))));
  const TensorMap inputs = testing_graphs::inputs_for(graph, 9);
  const auto got = runtime::reference::run(*applied, inputs), wanted = runtime::reference::run(plain, inputs);
  ASSERT_TRUE(got.ok() && wanted.ok());
  EXPECT_EQ(to_floats(got->at("y")), to_floats(wanted->at("y")));
}

TEST(Outliers, MethodsBehindKeepThem) {
  const ir::Graph graph = testing_graphs::graph_from(kTwoProducts);
  const auto pool = std::make_shared<ThreadPool>(2);
  Recipe recipe = planned(graph, {.bits = 3, .group_size = 16});
  ASSERT_TRUE(set_outliers_apart(graph, nullptr, recipe, *pool, 2).ok());
  const auto keeps = [&](const Recipe& changed) {
    for (const auto& [key, before] : recipe.groups) {
      const GroupedWeights& now = changed.groups.at(key);
      EXPECT_EQ(now.apart.places(), before.apart.places());
      const auto codes = to_floats(now.codes), zero = zero_points_of_weights(now);
      for (const int64_t place : now.apart.places())
        EXPECT_EQ(codes[static_cast<size_t>(place)], zero[static_cast<size_t>(place)]);
    }
  };
  Recipe hqq = recipe, gptq = recipe;
  half_quadratic(graph, nullptr, hqq, *pool);
  keeps(hqq);
  ASSERT_TRUE(round_sequentially(graph, gptq, samples(), pool).ok());
  keeps(gptq);
  GroupedWeights nearest = recipe.groups.at("h");
  nearest.codes = nearest_codes(nearest, graph.find_value("w")->constant().data<float>());
  const auto own = to_floats(dequantize_groups(recipe.groups.at("h")));
  EXPECT_EQ(to_floats(dequantize_groups(nearest)), own);
}

TEST(Outliers, TensorRtIsRefused) {
  const ir::Graph graph = testing_graphs::graph_from(kTwoProducts);
  Recipe recipe = planned(graph, {});
  recipe.target = Target::tensorrt;
  ThreadPool pool(1);
  const auto report = set_outliers_apart(graph, nullptr, recipe, pool, 1);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Code::unsupported);
}

}  // namespace
}  // namespace narrow::quant
