#include "calib/check/data_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "data/test_samples.h"
#include "runtime/test_graphs.h"

namespace narrow::calib {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing_graphs::graph_from;

/// A classifier of three classes, the channel that is brightest on the average, and a feature that reads the
/// first channel mostly.
constexpr const char* kModel = R"(graph g(%x: f32[N,3,8,8]) {
  @w: f32[1,3,1,1] = [1,0,0.25]
  %c = Conv(%x, @w) "conv"
  %r = Relu(%c)
  @axes: s64[2] = [2,3]
  %m = ReduceMean(%x, @axes) {keepdims=0} "mean"
  return %m as "y", %r as "features"
}
)";

/// Pictures from black (the first pixel) to white (the last) whose channel `classes[i]` is the brightest;
/// channel 0 has a texture of its own, which a model may know it by.
Tensor pictures(int64_t n, uint64_t seed, const std::vector<int64_t>& classes = {0, 1, 2}) {
  Random random(seed);
  Tensor t = Tensor::allocate(DType::f32, {n, 3, 8, 8});
  size_t at = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t bright =
        classes[static_cast<size_t>(random.integer(0, static_cast<int64_t>(classes.size()) - 1))];
    const double light = random.uniform(0.3, 0.7), contrast = random.uniform(0.1, 0.3);
    for (int64_t c = 0; c < 3; ++c)
      for (int p = 0; p < 64; ++p)
        t.mutable_data<float>()[at++] =
            p == 0 ? 0.0F
            : p == 63
                ? 1.0F
                : static_cast<float>(std::clamp(light + (c == bright ? 0.15 : 0) +
                                                    contrast * (c == 0 ? p % 2 - 0.5 : 0.3 * random.normal()),
                                                0.0, 1.0));
  }
  return t;
}

Result<DataCheck> check(const Tensor& calibration, const Tensor& evaluation, int threads = 2) {
  return check_data(graph_from(kModel), data::Samples({{"x", calibration}}, "a"),
                    data::Samples({{"x", evaluation}}, "b"), std::make_shared<ThreadPool>(threads));
}

std::vector<std::string> failing(const DataCheck& check) {
  std::vector<std::string> kinds;
  for (const Finding& finding : check.findings)
    if (finding.fails) kinds.push_back(finding.kind);
  return kinds;
}

/// f(x, channel) of every value.
template <class F>
Tensor changed(const Tensor& images, F&& f) {
  Tensor out = images.clone();
  for (int64_t i = 0; i < out.elements(); ++i) {
    float& x = out.mutable_data<float>()[static_cast<size_t>(i)];
    x = f(x, i / 64 % 3);
  }
  return out;
}

TEST(CheckData, CleanSetsOfAnySizeRepresent) {
  for (const auto& [n, m] : {std::pair<int64_t, int64_t>{10, 12}, {40, 30}, {20, 200}}) {
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      const auto got = check(pictures(n, seed), pictures(m, 100 + seed));
      ASSERT_TRUE(got.ok()) << got.error().message();
      EXPECT_TRUE(got->represents) << n << " " << m << " " << seed << ": " << got->findings.front().sentence;
      EXPECT_EQ(got->values.size(), 4U);
      EXPECT_TRUE(got->values.front().is_input);
      EXPECT_EQ(got->calibration.looked_at, n);
    }
  }
}

TEST(CheckData, NamesBlankSamples) {
  const auto got = check(changed(pictures(20, 1), [](float, int64_t) { return 0.5F; }), pictures(40, 2));
  ASSERT_TRUE(got.ok());
  EXPECT_FALSE(got->represents);
  EXPECT_EQ(got->findings.front().kind, "blank");
  EXPECT_THAT(got->findings.front().sentence, HasSubstr("20 of 20"));
  EXPECT_THAT(failing(*got), Not(Contains("duplicates")));
}

TEST(CheckData, NamesAnotherScale) {
  const auto got = check(changed(pictures(20, 1), [](float x, int64_t) { return 255 * x; }), pictures(40, 2));
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->findings.front().kind, "scale");
  EXPECT_THAT(got->findings.front().sentence, HasSubstr("bytes 0..255"));
  EXPECT_THAT(got->findings.front().sentence, HasSubstr("pixel / 255"));
}

TEST(CheckData, NamesOneClass) {
  const auto got = check(pictures(40, 1, {2}), pictures(60, 2));
  ASSERT_TRUE(got.ok());
  EXPECT_THAT(failing(*got), Contains("few_classes"));
  ASSERT_TRUE(got->answers.has_value());
  EXPECT_EQ(got->answers->top_class, 2);
  EXPECT_GT(got->answers->top_share, 0.9);
}

TEST(CheckData, NamesExchangedChannels) {
  const auto got = check(swap_channels(pictures(40, 1), {.axis = 1}), pictures(60, 2));
  ASSERT_TRUE(got.ok());
  EXPECT_THAT(failing(*got), Contains("channel_order"));
  ASSERT_TRUE(got->channels.has_value());
  EXPECT_TRUE(got->channels->is_reversed) << to_json(*got->channels).dump();
}

TEST(CheckData, NamesCopies) {
  const Tensor few = pictures(5, 1);
  std::vector<float> many;
  for (int copy = 0; copy < 6; ++copy)
    many.insert(many.end(), few.data<float>().begin(), few.data<float>().end());
  const auto got = check(Tensor::of<float>({30, 3, 8, 8}, many), pictures(60, 2));
  ASSERT_TRUE(got.ok());
  EXPECT_THAT(failing(*got), Contains("duplicates"));
  EXPECT_EQ(got->calibration.copies(), 25);
}

TEST(CheckData, AnotherDistributionInTheSameUnits) {
  // Dark pictures, from black to white still.
  const auto got =
      check(changed(pictures(40, 1), [](float x, int64_t) { return x * x * x; }), pictures(60, 2));
  ASSERT_TRUE(got.ok());
  EXPECT_THAT(failing(*got), Contains("input_differs"));
  EXPECT_THAT(failing(*got), Not(Contains("scale")));
}

TEST(CheckData, SaysWhichSamplesAreShared) {
  const auto got = check(pictures(12, 1), pictures(12, 1));
  ASSERT_TRUE(got.ok());
  EXPECT_TRUE(got->represents);
  EXPECT_EQ(got->shared_samples, 12);
  for (const ValueComparison& v : got->values) {
    EXPECT_EQ(v.psi, 0) << v.name;
    EXPECT_EQ(v.ks, 0) << v.name;
    EXPECT_EQ(v.coverage, 1) << v.name;
    EXPECT_EQ(v.loss_db, 0) << v.name;
    EXPECT_EQ(v.samples_beyond, 0) << v.name;
  }
}

TEST(CheckData, NaNIsAFinding) {
  const std::string text =
      "graph g(%x: f32[N,3,8,8]) {\n  %y = Log(%x) \"the log\"\n  return %y as \"y\"\n}\n";
  const auto got =
      check_data(graph_from(text),
                 data::Samples({{"x", changed(pictures(5, 1), [](float x, int64_t) { return x - 2; })}}),
                 data::Samples({{"x", changed(pictures(5, 2), [](float x, int64_t) { return x + 1; })}}),
                 std::make_shared<ThreadPool>(1));
  ASSERT_TRUE(got.ok()) << got.error().message();
  EXPECT_THAT(failing(*got), Contains("not_finite"));
  EXPECT_THAT(got->not_finite, HasSubstr("the log"));
  EXPECT_THAT(got->values, IsEmpty());
}

TEST(CheckData, DescriptionsThatDiffer) {
  DataCheck nothing;
  data::DatasetInfo a, b;
  EXPECT_THAT(findings_of(nothing, a, b), IsEmpty());
  a.pixels = b.pixels = data::PixelFormat{.channels = "RGB", .scale = 1, .mean = {}, .std = {}};
  EXPECT_THAT(findings_of(nothing, a, b), IsEmpty());
  a.pixels->channels = "BGR";
  const std::vector<Finding> found = findings_of(nothing, a, b);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].kind, "channel_order");
  EXPECT_TRUE(found[0].fails);
  EXPECT_THAT(found[0].sentence, HasSubstr("BGR against RGB"));
}

TEST(CheckData, DoesNotDependOnThreads) {
  const auto one = check(pictures(20, 1), pictures(30, 2), 1),
             three = check(pictures(20, 1), pictures(30, 2), 3);
  ASSERT_TRUE(one.ok() && three.ok());
  EXPECT_EQ(to_json(*one).dump(), to_json(*three).dump());
}

TEST(Judge, ByLimitAndChance) {
  ValueComparison v;
  EXPECT_EQ(judge(v), ValueVerdict::alike);
  v.psi = 0.2;
  EXPECT_EQ(judge(v), ValueVerdict::shifted);
  v.psi_noise = 0.21;
  EXPECT_EQ(judge(v), ValueVerdict::alike);
  v.psi = 0.3;
  EXPECT_EQ(judge(v), ValueVerdict::differs);
  v.psi_noise = 0.31;
  EXPECT_EQ(judge(v), ValueVerdict::alike);
  v.loss_db = 4, v.clipped = 0.1;
  EXPECT_EQ(judge(v), ValueVerdict::too_narrow);
  v.clipped_calibration = 0.2;
  EXPECT_EQ(judge(v), ValueVerdict::too_wide);
  v.loss_noise_db = 1.5;
  EXPECT_EQ(judge(v), ValueVerdict::alike);
}

}  // namespace
}  // namespace narrow::calib
