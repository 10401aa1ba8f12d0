// Layer by layer and sample by sample: a build with one wrong layer, found.
#include "verify/layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "data/test_samples.h"
#include "runtime/test_graphs.h"
#include "runtime/test_merging.h"
#include "verify/evaluate.h"
#include "verify/figures.h"
#include "verify/rescaled.h"

namespace narrow::verify {
namespace {

using testing_graphs::graph_from;

const char* const kThree = R"(graph g(%x: f32[N,4,5,5]) {
  @w1: f32[4,4,3,3] = blob 0 576
  @w2: f32[4,4,3,3] = blob 1024 576
  @w3: f32[4,4,1,1] = blob 4096 64
  %a = Conv(%x, @w1) {pads=[1,1,1,1]} "one"
  %b = Relu(%a) "relu"
  %c = Conv(%b, @w2) {pads=[1,1,1,1]} "two"
  %d = Conv(%c, @w3) "three"
  return %d as "d"
}
)";

/// The same with `change` done to the weights of the second convolution.
template <class F>
ir::Graph with_other_weights(F&& change) {
  ir::Graph graph = graph_from(kThree);
  Tensor w = graph.find_value("w2")->constant().clone();
  change(w.mutable_data<float>());
  graph.set_constant(graph.find_value("w2"), w);
  return graph;
}

class Layers : public testing::Test {
 protected:
  runtime::Session session_of(const ir::Graph& graph, bool observe) {
    runtime::SessionOptions options;
    options.observe_all = observe;
    return std::move(runtime::Session::create(graph, pool_, options)).value();
  }
  std::map<std::string, LayerReport> compare(const ir::Graph& build,
                                             const std::set<std::string>& rescaled = {}) {
    runtime::Session fp32 = session_of(graph_from(kThree), true), other = session_of(build, false);
    auto reports = compare_layers(fp32, other, samples_, 4, *pool_, {}, rescaled);
    EXPECT_TRUE(reports.ok()) << (reports.ok() ? "" : reports.error().message());
    list_ = *reports;
    std::map<std::string, LayerReport> by_value;
    for (const LayerReport& r : list_) by_value[r.value] = r;
    return by_value;
  }

  std::shared_ptr<ThreadPool> pool_ = std::make_shared<ThreadPool>(2);
  data::Samples samples_{testing_graphs::inputs_for(graph_from(kThree), 1, 6)};
  std::vector<LayerReport> list_;
};

TEST_F(Layers, AnEqualBuildErrsByRoundingOnly) {
  const auto reports = compare(graph_from(kThree));
  for (const char* value : {"b", "c", "d"}) {
    ASSERT_TRUE(reports.contains(value)) << value;
    const LayerReport& r = reports.at(value);
    EXPECT_GT(r.accumulated.distortion.sqnr_db(), 110)
        << value;  // 24 bits are 144 dB, sums of 36 products less
    EXPECT_GT(r.isolated.distortion.sqnr_db(), 110) << value;
    EXPECT_EQ(r.isolated.distortion.count(), 4 * 100);
    EXPECT_EQ(r.isolated.saturated, 0);
    EXPECT_EQ(r.isolated.dead_channels, 0);
    EXPECT_EQ(r.isolated.channels, 4);
    EXPECT_TRUE(r.computes);
  }
  EXPECT_TRUE(findings(list_).empty());
}

TEST_F(Layers, TheGuiltyLayerIsToldFromItsVictims) {
  const auto reports = compare(with_other_weights([](std::span<float> w) {
    for (float& x : w) x *= 1.1F;
  }));
  EXPECT_GT(reports.at("b").accumulated.distortion.sqnr_db(), 110);
  EXPECT_NEAR(reports.at("c").isolated.distortion.sqnr_db(), 20, 0.01);  // an error of a tenth of the signal
  EXPECT_NEAR(reports.at("c").accumulated.distortion.sqnr_db(), 20, 0.01);
  EXPECT_GT(reports.at("d").isolated.distortion.sqnr_db(), 110);
  EXPECT_NEAR(reports.at("d").accumulated.distortion.sqnr_db(), 20, 0.01);
  EXPECT_EQ(to_json(list_).size(), list_.size());
}

/// Channel i of the second convolution's result 4^i times as large, which the third takes back; one of its
/// weights is off.
ir::Graph rescaled_between_two_and_three() {
  ir::Graph graph = with_other_weights([](std::span<float> w) {
    for (size_t i = 0; i < w.size(); ++i) {
      const size_t channel = i / 36;
      w[i] *= std::pow(4.0F, static_cast<float>(channel));
    }
  });
  Tensor w = graph.find_value("w3")->constant().clone();
  auto values = w.mutable_data<float>();
  for (size_t i = 0; i < values.size(); ++i) values[i] /= std::pow(4.0F, static_cast<float>(i % 4));
  graph.set_constant(graph.find_value("w3"), w);
  return graph;
}

TEST_F(Layers, ChannelsThatTheBuildRescalesAreScaledAlike) {
  const ir::Graph build = rescaled_between_two_and_three();
  EXPECT_LT(compare(build).at("d").isolated.distortion.sqnr_db(), 10);
  const auto names = rescaled_values(graph_from(kThree), build, samples_, pool_);
  ASSERT_TRUE(names.ok()) << names.error().message();
  EXPECT_EQ(*names, std::set<std::string>{"c"});
  const auto reports = compare(build, *names);
  for (const char* value : {"b", "c", "d"}) {
    EXPECT_GT(reports.at(value).accumulated.distortion.sqnr_db(), 100) << value;
    EXPECT_GT(reports.at(value).isolated.distortion.sqnr_db(), 100) << value;
  }
  // What the layer behind does wrong is still seen, and only there.
  ir::Graph wrong = build.clone();
  Tensor w = wrong.find_value("w3")->constant().clone();
  for (float& x : w.mutable_data<float>()) x *= 1.1F;
  wrong.set_constant(wrong.find_value("w3"), w);
  EXPECT_GT(compare(wrong, *names).at("c").isolated.distortion.sqnr_db(), 100);
  EXPECT_NEAR(list_.back().isolated.distortion.sqnr_db(), 20, 0.01);
}

TEST_F(Layers, WhatIsNoMapOfChannelsIsNotCompared) {
  ir::Graph mixed = with_other_weights([](std::span<float> w) {  // channels turned about
    std::rotate(w.begin(), w.begin() + 36, w.end());
  });
  EXPECT_FALSE(compare(mixed, {"c"}).contains("c"));
}

TEST_F(Layers, NamesOfRescaledValuesGoWithTheGraph) {
  ir::Graph graph = graph_from(kThree);
  EXPECT_TRUE(rescaled_of(graph).empty());
  note_rescaled(graph, {"b", "\"c\""});
  EXPECT_EQ(rescaled_of(graph), (std::set<std::string>{"b", "\"c\""}));
  graph.metadata["narrow.rescaled_values"] = "{";
  EXPECT_TRUE(rescaled_of(graph).empty());
}

TEST_F(Layers, DeadChannelsLayersAndNaNAreFindings) {
  auto reports =
      compare(with_other_weights([](std::span<float> w) { std::fill_n(w.begin() + 36, 36, 0.0F); }));
  EXPECT_EQ(reports.at("c").isolated.dead_channels, 1);
  EXPECT_EQ(reports.at("d").isolated.dead_channels, 0);
  EXPECT_THAT(findings(list_), testing::Contains(testing::HasSubstr("1 of 4 channels are dead")));
  reports = compare(with_other_weights([](std::span<float> w) { std::fill(w.begin(), w.end(), 0.0F); }));
  EXPECT_THAT(findings(list_), testing::Contains(testing::HasSubstr("'two' (f32) is dead")));
  reports = compare(with_other_weights([](std::span<float> w) { std::fill(w.begin(), w.end(), NAN); }));
  EXPECT_TRUE(reports.at("c").accumulated.distortion.has_non_finite());
  EXPECT_THAT(findings(list_), testing::Contains(testing::HasSubstr("'two' (f32) makes NaN or Inf")));
}

/// Layers that one convolution computes are each told of, as if they were alone.
TEST_F(Layers, MergedConvolutionsAreComparedApart) {
  const ir::Graph graph = graph_from(testing_graphs::parallel_int8_graph());
  const data::Samples samples{testing_graphs::inputs_for(graph, 1, 4)};
  const std::map<std::string, Shape> shapes = {{"x", {1, 64, 7, 5}}};
  runtime::SessionOptions options;
  options.observe_all = true;
  runtime::Session fp32 = runtime::Session::create(graph, pool_, options).value();
  options.observe_all = false;
  runtime::Session apart = runtime::Session::create(graph, pool_, options).value();
  options.tactics = testing_graphs::merging_tactics(apart, shapes, usable_isa());
  runtime::Session as_one = runtime::Session::create(graph, pool_, options).value();
  ASSERT_EQ(testing_graphs::merged_steps(as_one, shapes), 1);
  const auto first = compare_layers(fp32, apart, samples, 4, *pool_, {}),
             second = compare_layers(fp32, as_one, samples, 4, *pool_, {});
  ASSERT_TRUE(first.ok() && second.ok());
  std::map<std::string, LayerReport> wanted;
  for (const LayerReport& report : *first) wanted[report.value] = report;
  int told = 0;
  for (const LayerReport& report : *second) {
    SCOPED_TRACE(report.node + " " + report.value);
    ASSERT_TRUE(wanted.contains(report.value));
    const LayerReport& other = wanted.at(report.value);
    told += report.node == "one" || report.node == "two" || report.node == "three" ? 1 : 0;
    EXPECT_EQ(report.node, other.node);
    EXPECT_EQ(report.op, other.op);
    EXPECT_EQ(report.computes, other.computes);
    EXPECT_EQ(report.isolated.distortion.sqnr_db(), other.isolated.distortion.sqnr_db());
    EXPECT_EQ(report.accumulated.distortion.sqnr_db(), other.accumulated.distortion.sqnr_db());
    EXPECT_EQ(report.accumulated.saturated, other.accumulated.saturated);
    wanted.erase(report.value);
  }
  EXPECT_EQ(told, 3);
  EXPECT_TRUE(wanted.empty());
}

TEST_F(Layers, EvaluateScoresEverySampleAndShowsEveryBatch) {
  runtime::Session fp32 = session_of(graph_from(kThree), false), same = session_of(graph_from(kThree), false),
                   off = session_of(with_other_weights([](std::span<float> w) { w[0] += 1; }), false);
  std::vector<int64_t> seen(3, 0);
  const auto evaluation =
      evaluate(fp32, {{"same", &same}, {"off", &off}}, samples_, *pool_, {},
               [&](size_t i, const data::Batch& batch, const TensorMap& outputs) -> Status {
                 seen.at(i) += batch.count;
                 EXPECT_EQ(outputs.at("d").dim(0), batch.count);
                 return {};
               });
  ASSERT_TRUE(evaluation.ok()) << evaluation.error().message();
  EXPECT_EQ(seen, (std::vector<int64_t>{6, 6, 6}));
  EXPECT_EQ(evaluation->reference.size(), 6U);
  const Figures equal = make_figures(evaluation->builds.at(0), evaluation->reference, 1),
                other = make_figures(evaluation->builds.at(1), evaluation->reference, 1);
  EXPECT_EQ(equal.by_name.at("sqnr").value, 200);
  EXPECT_LT(other.by_name.at("sqnr").value, 40);
  const auto specs = input_specs(fp32.interface());
  ASSERT_EQ(specs.size(), 1U);
  EXPECT_EQ(specs[0].dims, (Shape{-1, 4, 5, 5}));
  const auto stopped =
      evaluate(fp32, {}, samples_, *pool_, {}, [](size_t, const data::Batch&, const TensorMap&) -> Status {
        return Error{.code = Code::io, .subject = "sink"};
      });
  EXPECT_EQ(stopped.error().code, Code::io);
}

}  // namespace
}  // namespace narrow::verify
