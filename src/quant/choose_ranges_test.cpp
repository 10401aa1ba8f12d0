// The range chosen is the one with the least error of what a layer answers, computed here by plain loops.
#include "quant/choose_ranges.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "calib/calibrate.h"
#include "data/test_samples.h"
#include "numerics/quantization.h"
#include "quant/range_candidates.h"
#include "runtime/test_graphs.h"

namespace narrow::quant {
namespace {

using testing_graphs::graph_from;

constexpr int64_t kSamples = 16, kPixels = 64;

/// Magnitudes of normal numbers; in channel 0 one in a hundred is 60.
TensorMap two_channels() {
  Random random(5);
  Tensor x = Tensor::allocate(DType::f32, {kSamples, 2, 8, 8});
  const auto values = x.mutable_data<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = std::fabs(static_cast<float>(random.normal()));
    if (static_cast<int64_t>(i) / kPixels % 2 == 0 && i % 100 == 0) values[i] = 60;
  }
  return {{"x", x}};
}

/// Sum of squares of w0 e0 + w1 e1, with e the error of rounding over a range; the error of clipping alone
/// once more.
double error_of_product(const Tensor& x, float w0, float w1, calib::Range range) {
  const AffineParameters affine = affine_from_range(range.low, range.high, kRangeU8);
  const auto error = [&](float v) {
    return static_cast<double>(dequantize(quantize(v, affine.scale, affine.zero_point, kRangeU8),
                                          affine.scale, affine.zero_point)) -
           static_cast<double>(v);
  };
  const auto clipping = [&](float v) {
    return static_cast<double>(std::clamp(v, range.low, range.high)) - static_cast<double>(v);
  };
  double sum = 0;
  const auto values = x.data<float>();
  for (int64_t s = 0; s < kSamples; ++s)
    for (int64_t p = 0; p < kPixels; ++p) {
      const float a = values[static_cast<size_t>(s * 2 * kPixels + p)],
                  b = values[static_cast<size_t>((s * 2 + 1) * kPixels + p)];
      const double e = static_cast<double>(w0) * error(a) + static_cast<double>(w1) * error(b),
                   c = static_cast<double>(w0) * clipping(a) + static_cast<double>(w1) * clipping(b);
      sum += e * e + c * c;
    }
  return sum;
}

calib::Range chosen_for(float w0, float w1) {
  const ir::Graph graph = graph_from(fmt::format(R"(graph g(%x: f32[N,2,8,8]) {{
    @w: f32[1,2,1,1] = [{},{}]
    %y = Conv(%x, @w)
    return %y as "y"
  }})",
                                                 w0, w1));
  const data::Samples samples(two_channels());
  const auto pool = std::make_shared<ThreadPool>(2);
  const calib::Profile profile = *calib::calibrate(graph, "m", samples, pool);
  const auto chosen = choose_ranges(graph, profile, samples, pool);
  EXPECT_TRUE(chosen.ok()) << chosen.error().message();
  const calib::Range range = chosen->at("x").range;
  // A tenth is what another range than that of mse must be worth; a rounding error is expected to be a
  // twelfth of a squared step, which these 2048 numbers hold to within their 2 / sqrt(2048).
  const Tensor x = two_channels().at("x");
  const double least = error_of_product(x, w0, w1, range);
  for (const RangeCandidate& candidate : range_candidates(profile, "x", {}))
    EXPECT_LE(0.9 * least, error_of_product(x, w0, w1, candidate.range) * (1 + 2 / std::sqrt(2048.0)));
  return range;
}

TEST(ChooseRanges, CutsOutliersThatNoLayerReads) { EXPECT_LT(chosen_for(0, 1).high, 10); }
TEST(ChooseRanges, KeepsOutliersThatALayerReads) { EXPECT_GT(chosen_for(1, 0).high, 50); }

TEST(ChooseRanges, WholeNetworkOnAnyNumberOfThreads) {
  const ir::Graph graph = graph_from(R"(graph g(%x: f32[N,4,8,8]) {
    @w1: f32[6,4,3,3] = blob 0 864
    @w2: f32[6,6,1,1] = blob 1024 144
    @w3: f32[6,6,3,3] = blob 3072 1296
    %a = Conv(%x, @w1) {pads=[1,1,1,1]}
    %r = Relu(%a)
    %p = MaxPool(%r) {kernel_shape=[3,3], pads=[1,1,1,1]}
    %c = Conv(%p, @w2)
    %e = Add(%c, %r)
    %f = Relu(%e)
    %g = Conv(%f, @w3) {pads=[1,1,1,1]}
    %y = Sigmoid(%g)
    return %y as "y"
  })");
  const data::Samples samples(testing_graphs::inputs_for(graph, 3, 24));
  const auto one = std::make_shared<ThreadPool>(1), three = std::make_shared<ThreadPool>(3);
  const calib::Profile profile = *calib::calibrate(graph, "m", samples, one);
  const auto a = choose_ranges(graph, profile, samples, one),
             b = choose_ranges(graph, profile, samples, three);
  ASSERT_TRUE(a.ok() && b.ok());
  std::vector<std::string> names;
  for (const auto& [name, choice] : *a) {
    names.push_back(name);
    EXPECT_EQ(choice.range.low, b->at(name).range.low) << name;
    EXPECT_EQ(choice.range.high, b->at(name).range.high) << name;
  }
  // p has r's scale; what is between a layer and its activation is never stored.
  EXPECT_EQ(names, (std::vector<std::string>{"f", "r", "x"}));
  EXPECT_EQ(a->at("r").range.low, 0);
}

/// After a Relu or Sigmoid the zero point is the lowest code, before one that only goes down the highest.
TEST(RangeCandidates, OneSidedValuesSpendNoCodeBeyondZero) {
  Random random(9);
  std::vector<float> values(5000);
  for (float& v : values) v = std::fabs(static_cast<float>(random.normal()));
  values[7] = 30;
  for (const float sign : {1.0F, -1.0F}) {
    calib::Profile profile;
    calib::ValueProfile& value = profile.values["v"];
    std::vector<float> signed_values = values;
    for (float& v : signed_values) v *= sign;
    value.histogram.add(signed_values);
    value.average_min = sign > 0 ? 0.001F : -4, value.average_max = sign > 0 ? 4 : -0.001F;
    const std::vector<RangeCandidate> list = range_candidates(profile, "v", {});
    EXPECT_GE(list.size(), 5U);
    EXPECT_EQ(list[0].method, calib::Method::mse);
    for (const RangeCandidate& candidate : list) {
      const AffineParameters affine = affine_from_range(candidate.range.low, candidate.range.high, kRangeU8);
      EXPECT_EQ(affine.zero_point, sign > 0 ? 0 : 255) << calib::to_string(candidate.method);
      EXPECT_LE(std::fabs(candidate.range.high - candidate.range.low), 30);
    }
  }
}

TEST(RangeOf, OutputErrorTakesTheRangeThatWasChosen) {
  calib::Profile profile;
  profile.values["v"].histogram.add(std::vector<float>{-1, 0.5F, 3, 100});
  profile.ranges["v"] = {-0.75F, 2.5F};
  const auto file = std::filesystem::path(testing::TempDir()) / "ranges.json";
  ASSERT_TRUE(calib::write_profile(file, profile).ok());
  const auto read = calib::read_profile(file);
  ASSERT_TRUE(read.ok()) << read.error().message();
  const calib::Range range = calib::range_of(*read, "v", {.method = calib::Method::output_error});
  EXPECT_EQ(range.low, -0.75F);
  EXPECT_EQ(range.high, 2.5F);
  EXPECT_EQ(calib::range_of(*read, "v", {.method = calib::Method::minmax}).high, 100);
}

}  // namespace
}  // namespace narrow::quant
