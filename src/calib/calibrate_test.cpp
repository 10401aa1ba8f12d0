#include "calib/calibrate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "base/test_folder.h"
#include "data/test_samples.h"
#include "runtime/reference/reference.h"
#include "runtime/test_graphs.h"

namespace narrow::calib {
namespace {

using testing_graphs::graph_from;

Result<Profile> profile_of(const ir::Graph& graph, const TensorMap& inputs, int threads = 2,
                           const CalibrateOptions& options = {}) {
  return calibrate(graph, "model", data::Samples(inputs), std::make_shared<ThreadPool>(threads), options);
}

/// Every float value of the graph on all samples at once, by the reference.
TensorMap values_of(const std::string& text, const TensorMap& inputs) {
  ir::Graph graph = graph_from(text);
  for (const ir::Node* node : graph.nodes())
    for (ir::Value* output : node->outputs())
      if (output->type.dtype == DType::f32) graph.add_output("value/" + output->name, output);
  auto outputs = runtime::reference::run(graph, inputs);
  EXPECT_TRUE(outputs.ok()) << (outputs.ok() ? "" : outputs.error().message());
  TensorMap values;
  for (const auto& [name, tensor] : *outputs)
    if (name.starts_with("value/")) values[name.substr(6)] = tensor;
  for (const auto& [name, tensor] : inputs)
    if (tensor.dtype() == DType::f32) values[name] = tensor;
  return values;
}

const std::string kConv = testing_graphs::float_graphs()[0].text;

TEST(Calibrate, SeesEveryValueOfEverySample) {
  const TensorMap data = testing_graphs::inputs_for(graph_from(kConv), 1, 11);
  const auto profile = profile_of(graph_from(kConv), data, 2, {.samples = 0, .batch = 4});
  ASSERT_TRUE(profile.ok()) << profile.error().message();
  EXPECT_EQ(profile->samples, 11);
  EXPECT_EQ(profile->model_hash, "model");
  EXPECT_EQ(profile->data_hash, "data");
  const TensorMap wanted = values_of(kConv, data);
  for (const auto& [name, tensor] : wanted) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(profile->values.contains(name));
    const ValueProfile& value = profile->values.at(name);
    const auto x = to_floats(tensor);
    const float low = *std::min_element(x.begin(), x.end()), high = *std::max_element(x.begin(), x.end());
    EXPECT_EQ(value.histogram.count(), tensor.elements());
    EXPECT_NEAR(value.histogram.min(), low, 1e-5F * (1 + std::fabs(low)));
    EXPECT_NEAR(value.histogram.max(), high, 1e-5F * (1 + std::fabs(high)));
    ASSERT_EQ(static_cast<int64_t>(value.channel_min.size()), tensor.dim(1));
    for (int64_t c = 0; c < tensor.dim(1); ++c) {
      float least = INFINITY, most = -INFINITY;
      double sum = 0, squares = 0;
      for (int64_t n = 0; n < 11; ++n)
        for (int64_t i = 0; i < 63; ++i) {
          const float v = x[static_cast<size_t>((n * tensor.dim(1) + c) * 63 + i)];
          least = std::min(least, v), most = std::max(most, v), sum += v;
          squares += static_cast<double>(v) * static_cast<double>(v);
        }
      const auto at = static_cast<size_t>(c);
      EXPECT_NEAR(value.channel_min[at], least, 1e-5F * (1 + std::fabs(least)));
      EXPECT_NEAR(value.channel_max[at], most, 1e-5F * (1 + std::fabs(most)));
      EXPECT_NEAR(value.channel_mean.at(at), sum / (11 * 63), 1e-5);
      EXPECT_NEAR(value.channel_square.at(at), squares / (11 * 63), 1e-5 * (1 + squares / (11 * 63)));
    }
  }
}

TEST(Calibrate, ThreadsBatchesAndRepetitionGiveTheSameHistograms) {
  // A value large enough to be split between threads.
  const std::string text = "graph g(%x: f32[N,50000]) {\n  %y = Relu(%x)\n  return %y as \"y\"\n}\n";
  const TensorMap data = testing_graphs::inputs_for(graph_from(text), 2, 6);
  const auto wanted = profile_of(graph_from(text), data, 1, {.samples = 0, .batch = 1});
  ASSERT_TRUE(wanted.ok());
  for (const int threads : {1, 3})
    for (const int64_t batch : {1, 4, 6}) {
      const auto got = profile_of(graph_from(text), data, threads, {.samples = 0, .batch = batch});
      for (const auto& [name, value] : wanted->values)
        EXPECT_EQ(got->values.at(name).histogram.to_json().dump(), value.histogram.to_json().dump()) << name;
    }
  EXPECT_EQ(profile_of(graph_from(text), data, 1, {.samples = 4, .batch = 3})->samples, 4);
}

/// Values that are only another shape of others are values too.
/// In the memory of a Concat, or cut out of what a Split cuts.
TEST(Calibrate, SeesValuesThatLieBetweenOthers) {
  const std::string text = R"(graph g(%x: f32[N,4,6,5]) {
  @u: f32[5,4,1,1] = blob 0 80
  @v: f32[8,4,3,3] = blob 128 1152
  @w: f32[3,13,1,1] = blob 2048 156
  @d: f32[6,1,3,3] = blob 4096 216
  @bits: s64[2] = [7,6]
  %a = Conv(%x, @u)
  %b = Conv(%x, @v) {pads=[1,1,1,1]}
  %r = Relu(%b)
  %c = Concat(%a, %r) {axis=1}
  %left, %right = Split(%c, @bits) {axis=1}
  %e = Conv(%c, @w)
  %f = Conv(%right, @d) {group=6, pads=[1,1,1,1]}
  return %e as "e", %f as "f"
}
)";
  const TensorMap data = testing_graphs::inputs_for(graph_from(text), 3, 6);
  const auto profile = profile_of(graph_from(text), data, 2, {.samples = 0, .batch = 3});
  ASSERT_TRUE(profile.ok()) << profile.error().message();
  for (const auto& [name, tensor] : values_of(text, data)) {
    SCOPED_TRACE(name);
    if (!profile->values.contains(name)) continue;
    const ValueProfile& value = profile->values.at(name);
    EXPECT_EQ(value.histogram.count(), tensor.elements());
    const auto x = to_floats(tensor);
    const int64_t channels = tensor.dim(1), plane = tensor.dim(2) * tensor.dim(3);
    ASSERT_EQ(static_cast<int64_t>(value.channel_min.size()), channels);
    for (int64_t c = 0; c < channels; ++c) {
      float low = std::numeric_limits<float>::max(), high = -low;
      for (int64_t i = 0; i < tensor.elements(); ++i)
        if (i / plane % channels == c)
          low = std::min(low, x[static_cast<size_t>(i)]), high = std::max(high, x[static_cast<size_t>(i)]);
      EXPECT_NEAR(value.channel_min[static_cast<size_t>(c)], low, 1e-5F * (1 + std::fabs(low)));
      EXPECT_NEAR(value.channel_max[static_cast<size_t>(c)], high, 1e-5F * (1 + std::fabs(high)));
    }
  }
  for (const char* name : {"a", "r", "c", "right"}) EXPECT_TRUE(profile->values.contains(name)) << name;
}

TEST(Calibrate, SeesAliases) {
  const std::string text = R"(graph g(%x: f32[N,2,3]) {
  @shape: s64[2] = [-1,6]
  @w: f32[6,4] = blob 0 96
  %a = Exp(%x)
  %b = Reshape(%a, @shape)
  %y = MatMul(%b, @w)
  return %y as "y"
}
)";
  const auto profile = profile_of(graph_from(text), testing_graphs::inputs_for(graph_from(text), 3, 5));
  ASSERT_TRUE(profile.ok()) << profile.error().message();
  ASSERT_TRUE(profile->values.contains("b"));
  EXPECT_EQ(profile->values.at("b").histogram.to_json().dump(),
            profile->values.at("a").histogram.to_json().dump());
}

TEST(Calibrate, NaNNamesTheNodeAndTheSamples) {
  const std::string text =
      "graph g(%x: f32[N,2]) {\n  %y = Log(%x) \"the log\"\n  %z = Relu(%y)\n  return %z as \"z\"\n}\n";
  Tensor x = Tensor::of<float>({5, 2}, {1, 1, 1, 1, 1, 1, 1, -1, 1, 1});
  const auto profile = profile_of(graph_from(text), {{"x", x}}, 1, {.samples = 0, .batch = 2});
  ASSERT_FALSE(profile.ok());
  EXPECT_EQ(profile.error().code, Code::numerical);
  EXPECT_THAT(profile.error().message(), testing::HasSubstr("'the log'"));
  EXPECT_THAT(profile.error().message(), testing::HasSubstr("samples 2 to 3"));
  // -Inf alone may be a mask.
  x = Tensor::of<float>({1, 2}, {0, 1});
  const auto masked = profile_of(graph_from(text), {{"x", x}});
  ASSERT_TRUE(masked.ok()) << masked.error().message();
  EXPECT_EQ(masked->values.at("y").histogram.non_finite(), 1);
}

TEST(Profile, FileRoundTripAndOrigin) {
  const auto profile = profile_of(graph_from(kConv), testing_graphs::inputs_for(graph_from(kConv), 1, 3));
  ASSERT_TRUE(profile.ok());
  const TestFolder folder;
  const auto file = folder / "calibration.json";
  ASSERT_TRUE(write_profile(file, *profile).ok());
  const auto read = read_profile(file);
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(to_json(*read).dump(), to_json(*profile).dump());
  EXPECT_TRUE(check_origin(*read, "model", "data").ok());
  EXPECT_TRUE(check_origin(*read, "model", "").ok());
  EXPECT_EQ(check_origin(*read, "other", "").error().code, Code::invalid_data);
  EXPECT_EQ(check_origin(*read, "model", "other").error().code, Code::invalid_data);
}

TEST(Profile, HostileFilesAreRefused) {
  const TestFolder folder;
  const auto code = [&](const std::string& text) {
    const auto read = read_profile(folder.write("c.json", text));
    return read.ok() ? Code::internal : read.error().code;
  };
  const std::string head =
      R"({"kind":"narrow calibration","version":1,"model":"m","data":"d","samples":1,"values":)";
  EXPECT_EQ(code(head + "{}}"), Code::internal);  // nothing wrong with it
  for (const std::string& text :
       {std::string(""), std::string("{"), std::string("[]"), std::string("{}"), head + "[]}",
        head + "{\"x\":1}}", head + "{\"x\":{}}}",
        std::string(R"({"kind":"x","version":1,"model":"m","data":"d","samples":1,"values":{}})"),
        std::string(
            R"({"kind":"narrow calibration","version":2,"model":"m","data":"d","samples":1,"values":{}})"),
        std::string(
            R"({"kind":"narrow calibration","version":1,"model":1,"data":"d","samples":1,"values":{}})"),
        std::string(
            R"({"kind":"narrow calibration","version":1,"model":"m","data":"d","samples":1.5,"values":{}})")})
    EXPECT_EQ(code(text), Code::invalid_data) << text;
  Json channels = Histogram().to_json();
  for (const Json& list : {Json("abc"), Json::array({"a"}), Json::array({Json::array()})}) {
    channels["channel_min"] = list;
    EXPECT_EQ(code(head + "{\"x\":" + channels.dump() + "}}"), Code::invalid_data) << list.dump();
  }
  EXPECT_EQ(read_profile(folder / "missing.json").error().code, Code::not_found);
}

/// Batches of two: maxima 1, 5, 3 average to 3; minima likewise. The third batch moves the mean by a third.
TEST(Calibrate, MovingAverageIsTheMeanOfBatches) {
  const ir::Graph graph = graph_from(R"(graph g(%x: f32[N,2]) {
    %y = Neg(%x)
    return %y as "y"
  })");
  const TensorMap data = {{"x", Tensor::of<float>({6, 2}, {1, -2, 0, 0, 5, -4, 1, 1, 0, -6, 3, 0})}};
  const auto profile = profile_of(graph, data, 2, {.samples = 0, .batch = 2});
  ASSERT_TRUE(profile.ok()) << profile.error().message();
  const Range range = range_of(*profile, "x", {.method = Method::moving_average}),
              turned = range_of(*profile, "y", {.method = Method::moving_average});
  EXPECT_FLOAT_EQ(range.low, -4);
  EXPECT_FLOAT_EQ(range.high, 3);
  EXPECT_FLOAT_EQ(turned.low, -3);
  EXPECT_FLOAT_EQ(turned.high, 4);
}

/// After a hundred batches the average forgets: a step from 0 to 1 is followed by 1 - 0.99^n.
TEST(Calibrate, MovingAverageForgets) {
  const ir::Graph graph = graph_from(R"(graph g(%x: f32[N,1]) {
    %y = Neg(%x)
    return %y as "y"
  })");
  Tensor x = Tensor::zeros(DType::f32, {400, 1});
  for (size_t i = 200; i < 400; ++i) x.mutable_data<float>()[i] = 1;
  const auto profile = profile_of(graph, {{"x", x}}, 1, {.samples = 0, .batch = 1});
  ASSERT_TRUE(profile.ok()) << profile.error().message();
  EXPECT_NEAR(profile->values.at("x").average_max, 1 - std::pow(0.99, 200), 1e-4);
}

TEST(Calibrate, MemoryBoundsTheBatchAndChangesNoHistogram) {
  const TensorMap data = testing_graphs::inputs_for(graph_from(kConv), 1, 16);
  const auto free = profile_of(graph_from(kConv), data, 2, {.samples = 0, .batch = 16});
  ASSERT_TRUE(free.ok()) << free.error().message();
  int64_t accepted = 0, refused = 0;
  for (const int64_t memory :
       {int64_t{1} << 40, int64_t{1} << 19, int64_t{1} << 18, int64_t{1} << 17, int64_t{1000}}) {
    const auto bounded =
        profile_of(graph_from(kConv), data, 2, {.samples = 0, .batch = 16, .memory = memory});
    if (!bounded.ok()) {
      ++refused;
      EXPECT_EQ(bounded.error().code, Code::invalid_argument);
      EXPECT_EQ(bounded.error().subject, "--memory");
      continue;
    }
    ++accepted;
    for (const auto& [name, value] : free->values)
      EXPECT_EQ(bounded->values.at(name).histogram.to_json(), value.histogram.to_json()) << name;
  }
  EXPECT_GE(accepted, 2);
  EXPECT_GE(refused, 1);
}

TEST(Profile, MethodsAndAveragesSurviveTheFile) {
  const TensorMap data = testing_graphs::inputs_for(graph_from(kConv), 1, 5);
  auto profile = profile_of(graph_from(kConv), data);
  ASSERT_TRUE(profile.ok());
  profile->methods = {{"a", Method::entropy}, {"b", Method::moving_average}};
  const TestFolder folder;
  ASSERT_TRUE(write_profile(folder.path() / "c.json", *profile).ok());
  const auto read = read_profile(folder.path() / "c.json");
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(read->methods, profile->methods);
  for (const auto& [name, value] : profile->values) {
    EXPECT_EQ(read->values.at(name).average_min, value.average_min);
    EXPECT_EQ(read->values.at(name).average_max, value.average_max);
  }
}

}  // namespace
}  // namespace narrow::calib
