#include "calib/check/samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/random.h"
#include "data/test_samples.h"
#include "runtime/reference/reference.h"
#include "runtime/test_graphs.h"

namespace narrow::calib {
namespace {

using testing_graphs::graph_from;

constexpr const char* kImages = R"(graph g(%x: f32[N,3,6,6]) {
  @w: f32[4,3,3,3] = blob 0 432
  @b: f32[4] = blob 2048 16
  %c = Conv(%x, @w, @b) {pads=[1,1,1,1]} "conv"
  %r = Relu(%c)
  @axes: s64[2] = [2,3]
  %m = ReduceMean(%r, @axes) {keepdims=0}
  return %m as "y"
}
)";

Selection in_order(int64_t n) {
  Selection selection;
  for (int64_t i = 0; i < n; ++i) selection.units.push_back(i);
  return selection;
}

/// Every float value of one sample, by the reference.
TensorMap values_of(const std::string& text, const TensorMap& inputs) {
  ir::Graph graph = graph_from(text);
  for (const ir::Node* node : graph.nodes())
    for (ir::Value* output : node->outputs()) graph.add_output("value/" + output->name, output);
  const auto outputs = runtime::reference::run(graph, inputs);
  EXPECT_TRUE(outputs.ok());
  TensorMap values;
  for (const auto& [name, tensor] : *outputs)
    if (name.starts_with("value/")) values[name.substr(6)] = tensor;
  values["x"] = inputs.at("x");
  return values;
}

Tensor sample_of(const Tensor& all, int64_t i) {
  Shape shape = all.shape();
  const int64_t row = all.elements() / shape[0];
  shape[0] = 1;
  const auto x = all.data<float>().subspan(static_cast<size_t>(i * row), static_cast<size_t>(row));
  return Tensor::of<float>(shape, x);
}

TEST(MomentsOf, AreThoseOfTheFiniteValues) {
  Random random(1);
  std::vector<float> values;
  for (int i = 0; i < 100001; ++i) values.push_back(static_cast<float>(3 + 2 * random.normal()));
  double sum = 0, squares = 0;
  for (const float x : values) sum += static_cast<double>(x);
  const double mean = sum / 100001;
  for (const float x : values) squares += (static_cast<double>(x) - mean) * (static_cast<double>(x) - mean);
  const float low = *std::min_element(values.begin(), values.end()),
              high = *std::max_element(values.begin(), values.end());
  values.push_back(std::numeric_limits<float>::infinity());
  values.push_back(std::numeric_limits<float>::quiet_NaN());
  ThreadPool one(1), three(3);
  const Moments m = moments_of(values, one), same = moments_of(values, three);
  EXPECT_NEAR(m.mean, mean, 1e-6);
  EXPECT_NEAR(m.spread, std::sqrt(squares / 100001), 1e-6);
  EXPECT_EQ(m.low, low);
  EXPECT_EQ(m.high, high);
  EXPECT_EQ(m.mean, same.mean);
  EXPECT_EQ(m.spread, same.spread);
  EXPECT_EQ(moments_of(std::vector<float>(1000, 0.1F), one).spread, 0);
  EXPECT_EQ(moments_of({}, one).high, 0);
}

TEST(SwapChannels, ExchangesTheFirstAndTheLast) {
  const Tensor planar = Tensor::of<float>({1, 3, 1, 2}, {1, 2, 3, 4, 5, 6});
  const Tensor got = swap_channels(planar, {.axis = 1});
  EXPECT_EQ(to_floats(got), (std::vector<float>{5, 6, 3, 4, 1, 2}));
  EXPECT_EQ(to_floats(planar), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(to_floats(swap_channels(Tensor::of<float>({1, 1, 2, 3}, {1, 2, 3, 4, 5, 6}), {.axis = 3})),
            (std::vector<float>{3, 2, 1, 6, 5, 4}));
}

TEST(SwapChannels, KeepsPixelsWhereChannelsAreScaledEachInItsOwnWay) {
  // Pixels 0, 51 and 255 by ImageNet's mean and std: black, a fifth and white stay what they are.
  const std::vector<float> mean = {0.485F, 0.456F, 0.406F}, std = {0.229F, 0.224F, 0.225F};
  const auto number = [&](size_t c, float share) { return (share - mean[c]) / std[c]; };
  InputFacts facts;
  facts.channel_axis = 1;
  for (size_t c = 0; c < 3; ++c)
    facts.channels.push_back({.count = 1, .mean = 0, .spread = 1, .min = number(c, 0), .max = number(c, 1)});
  const std::vector<float> got = to_floats(swap_channels(
      Tensor::of<float>({1, 3, 1, 2}, {number(0, 0), number(0, 0.2F), 5, 6, number(2, 1), number(2, 0)}),
      swap_for(facts)));
  const std::vector<float> wanted = {number(0, 1), number(0, 0), 5, 6, number(2, 0), number(2, 0.2F)};
  for (size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(got[i], wanted[i], 1e-5) << i;
  // Ends that no known scale has say nothing.
  facts.channels[2].max = 1.5F;
  EXPECT_EQ(swap_for(facts).first.low, swap_for(facts).first.high);
}

TEST(CountCategories, GivesTheFrequentTheirOwnPart) {
  // 50 % and 20 %, the rest in steps of 3 %.
  std::map<int64_t, int64_t> categories = {{7, 50}, {9, 20}};
  for (int64_t id = 100; id < 110; ++id) categories[id] = 3;
  const Counting counting = count_categories(categories);
  std::map<int, int64_t> weight;
  for (const auto& [id, n] : categories) weight[counting.part_of_category.at(id)] += n;
  EXPECT_EQ(weight.at(counting.part_of_category.at(7)), 50);
  EXPECT_EQ(weight.at(counting.part_of_category.at(9)), 20);
  EXPECT_EQ(counting.count, static_cast<int64_t>(weight.size()) + 1);  // and one for ids not seen
  for (const auto& [part, n] : weight) EXPECT_LT(part, counting.count - 1);
  EXPECT_EQ(count_categories({}).count, 1);
}

std::map<std::string, Counting> counting_for(const TensorMap& values) {
  std::map<std::string, Counting> counting;
  for (const auto& [name, tensor] : values) {
    Histogram h;
    h.add(to_floats(tensor));
    const Parts parts(h);
    counting[name] = {.parts = parts, .part_of_category = {}, .count = parts.count()};
  }
  return counting;
}

TEST(RunSamples, SeesEverySampleOfEveryValue) {
  const TensorMap data = testing_graphs::inputs_for(graph_from(kImages), 1, 11);
  const auto counting = counting_for(values_of(kImages, {{"x", sample_of(data.at("x"), 0)}}));
  RunOptions options{.grouping = {.groups = 3, .size = 3},
                     .swapped_channels = {},
                     .moments_only = false,
                     .snapshots = {4, 11},
                     .ranges = {}};
  const auto set = run_samples(graph_from(kImages), data::Samples(data), in_order(11), counting,
                               std::make_shared<ThreadPool>(2), options);
  ASSERT_TRUE(set.ok()) << set.error().message();
  EXPECT_THAT(set->order, testing::ElementsAre("x", "c", "r", "m"));
  EXPECT_EQ(set->values.at("x").node, "input");
  std::map<std::string, Counts> parts;
  std::map<std::string, std::vector<Counts>> groups;
  for (int64_t i = 0; i < 11; ++i) {
    const TensorMap wanted = values_of(kImages, {{"x", sample_of(data.at("x"), i)}});
    for (const auto& [name, tensor] : wanted) {
      SCOPED_TRACE(name);
      const std::vector<float> x = to_floats(tensor);
      double mean = 0, squares = 0;
      for (const float v : x) mean += static_cast<double>(v) / static_cast<double>(x.size());
      for (const float v : x) squares += (static_cast<double>(v) - mean) * (static_cast<double>(v) - mean);
      const Moments& m = set->values.at(name).moments.at(static_cast<size_t>(i));
      EXPECT_NEAR(m.mean, mean, 1e-5);
      EXPECT_NEAR(m.spread, std::sqrt(squares / static_cast<double>(x.size())), 1e-5);
      EXPECT_NEAR(m.low, *std::min_element(x.begin(), x.end()), 1e-5);
      EXPECT_NEAR(m.high, *std::max_element(x.begin(), x.end()), 1e-5);
      if (name != "x")
        continue;  // sums of products round otherwise than the reference's near the edges of parts
      Histogram h;
      h.add(x);
      counting.at(name).parts->count(h, parts[name]);
      groups[name].resize(3);
      if (i < 9) counting.at(name).parts->count(h, groups[name][static_cast<size_t>(i % 3)]);
    }
  }
  EXPECT_EQ(set->values.at("x").parts, parts.at("x"));
  EXPECT_EQ(set->values.at("x").groups, groups.at("x"));
  EXPECT_EQ(set->values.at("x").halves[0].count(), 6 * 108);
  EXPECT_EQ(set->values.at("x").halves[1].count(), 5 * 108);
  EXPECT_EQ(set->values.at("m").all().count(), 11 * 4);
  ASSERT_EQ(set->snapshots.size(), 2U);
  EXPECT_EQ(set->snapshots[0].samples, 4);
  EXPECT_EQ(set->snapshots[1].ranges.size(), 4U);
}

TEST(RunSamples, AnswersAndSketches) {
  const TensorMap data = testing_graphs::inputs_for(graph_from(kImages), 2, 5);
  const auto set =
      run_samples(graph_from(kImages), data::Samples(data), in_order(5), {}, std::make_shared<ThreadPool>(1));
  ASSERT_TRUE(set.ok());
  ASSERT_EQ(set->answers.size(), 5U);
  ASSERT_EQ(set->sketches.size(), 5U);
  std::vector<std::vector<float>> outputs;
  for (int64_t i = 0; i < 5; ++i) {
    outputs.push_back(to_floats(values_of(kImages, {{"x", sample_of(data.at("x"), i)}}).at("m")));
    EXPECT_EQ(set->answers[static_cast<size_t>(i)],
              std::max_element(outputs.back().begin(), outputs.back().end()) - outputs.back().begin());
  }
  // A projection is linear and the same for every sample: equal outputs give equal sketches, and each entry
  // is a sum of the outputs with signs, over the root of their number.
  for (size_t i = 0; i < 5; ++i)
    for (const double entry : set->sketches[i]) {
      bool is_signed_sum = false;
      for (unsigned signs = 0; signs < 16; ++signs) {
        double sum = 0;
        for (size_t k = 0; k < 4; ++k)
          sum += ((signs >> k) & 1U) != 0 ? static_cast<double>(outputs[i][k])
                                          : -static_cast<double>(outputs[i][k]);
        is_signed_sum = is_signed_sum || std::fabs(sum / 2 - entry) < 1e-5;
      }
      EXPECT_TRUE(is_signed_sum);
    }
}

TEST(RunSamples, DoesNotDependOnThreads) {
  const std::string text = "graph g(%x: f32[N,3,120,120]) {\n  %y = Tanh(%x)\n  return %y as \"y\"\n}\n";
  const TensorMap data = testing_graphs::inputs_for(graph_from(text), 3, 4);
  const auto counting = counting_for(data);
  const auto run = [&](int threads) {
    return run_samples(graph_from(text), data::Samples(data), in_order(4), counting,
                       std::make_shared<ThreadPool>(threads),
                       {.grouping = {.groups = 2, .size = 1},
                        .swapped_channels = {},
                        .moments_only = false,
                        .snapshots = {},
                        .ranges = {}});
  };
  const auto one = run(1), three = run(3);
  ASSERT_TRUE(one.ok() && three.ok());
  for (const auto& [name, value] : one->values) {
    const ValueSamples& other = three->values.at(name);
    EXPECT_EQ(value.parts, other.parts);
    EXPECT_EQ(value.groups, other.groups);
    EXPECT_EQ(value.all().to_json().dump(), other.all().to_json().dump());
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(value.moments[i].mean, other.moments[i].mean);
  }
  EXPECT_EQ(one->sketches, three->sketches);
}

TEST(RunSamples, ChannelsExchanged) {
  const TensorMap data = testing_graphs::inputs_for(graph_from(kImages), 4, 3);
  const auto set =
      run_samples(graph_from(kImages), data::Samples(data), in_order(3), {}, std::make_shared<ThreadPool>(1),
                  {.grouping = {},
                   .swapped_channels = {{"x", {.axis = 1}}},
                   .moments_only = true,
                   .snapshots = {},
                   .ranges = {}});
  ASSERT_TRUE(set.ok());
  EXPECT_TRUE(set->sketches.empty());
  for (int64_t i = 0; i < 3; ++i) {
    const TensorMap wanted =
        values_of(kImages, {{"x", swap_channels(sample_of(data.at("x"), i), {.axis = 1})}});
    const std::vector<float> x = to_floats(wanted.at("m"));
    EXPECT_NEAR(set->values.at("m").moments[static_cast<size_t>(i)].mean,
                std::accumulate(x.begin(), x.end(), 0.0F) / 4, 1e-5);
  }
}

TEST(RunSamples, IdsAreCounted) {
  const std::string text = R"(graph g(%ids: s64[N,4]) {
  @table: f32[8,4] = blob 0 128
  %e = Gather(@table, %ids)
  return %e as "y"
}
)";
  const TensorMap data = {{"ids", Tensor::of<int64_t>({2, 4}, {1, 1, 2, 1, 3, 1, 7, 7})}};
  const std::map<std::string, Counting> counting = {
      {"ids", {.parts = {}, .part_of_category = {{1, 0}, {2, 1}}, .count = 3}}};
  const auto set = run_samples(graph_from(text), data::Samples(data), in_order(2), counting,
                               std::make_shared<ThreadPool>(1),
                               {.grouping = {.groups = 2, .size = 1},
                                .swapped_channels = {},
                                .moments_only = false,
                                .snapshots = {},
                                .ranges = {}});
  ASSERT_TRUE(set.ok()) << set.error().message();
  EXPECT_EQ(set->values.at("ids").parts, (Counts{4, 1, 3}));
  EXPECT_EQ(set->values.at("ids").groups, (std::vector<Counts>{{3, 1, 0}, {1, 0, 3}}));
  EXPECT_TRUE(set->answers.empty());
}

TEST(RunSamples, NaNNamesTheNodeAndTheSample) {
  const std::string text = "graph g(%x: f32[N,2]) {\n  %y = Log(%x) \"the log\"\n  return %y as \"y\"\n}\n";
  const TensorMap data = {{"x", Tensor::of<float>({3, 2}, {1, 1, 1, -1, 1, 1})}};
  const auto set =
      run_samples(graph_from(text), data::Samples(data), in_order(3), {}, std::make_shared<ThreadPool>(1));
  ASSERT_FALSE(set.ok());
  EXPECT_EQ(set.error().code, Code::numerical);
  EXPECT_THAT(set.error().message(), testing::HasSubstr("'the log'"));
  EXPECT_THAT(set.error().message(), testing::HasSubstr("sample 1"));
}

}  // namespace
}  // namespace narrow::calib
