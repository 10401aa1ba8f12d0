#include "calib/range.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace narrow::calib {
namespace {

std::vector<float> normals(uint64_t seed, int n, double shift = 0) {
  Random random(seed);
  std::vector<float> values;
  for (int i = 0; i < n; ++i) values.push_back(static_cast<float>(random.normal() + shift));
  return values;
}

Histogram of(const std::vector<float>& values) {
  Histogram h;
  h.add(values);
  return h;
}

std::vector<float> with_outlier(float outlier) {
  auto values = normals(3, 20000);
  values.push_back(outlier);
  return values;
}

TEST(Range, NamesRoundTrip) {
  for (const Method m : {Method::minmax, Method::percentile, Method::mse, Method::entropy})
    EXPECT_EQ(parse_method(to_string(m)), m);
  EXPECT_FALSE(parse_method("max"));
}

TEST(Range, AlwaysHoldsZeroAndLiesInsideTheData) {
  for (const Method method : {Method::minmax, Method::percentile, Method::mse, Method::entropy})
    for (const auto& values :
         {normals(1, 1000), normals(1, 1000, 10), normals(1, 1000, -10), std::vector<float>{0, 0},
          std::vector<float>{5}, std::vector<float>{-5, -5}, std::vector<float>{1e-40F},
          std::vector<float>{3e38F, -3e38F}, with_outlier(1e6F)}) {
      const Histogram h = of(values);
      const Range r = choose_range(h, {.method = method});
      EXPECT_LE(r.low, 0);
      EXPECT_GE(r.high, 0);
      EXPECT_GE(r.low, std::min(h.min(), 0.0F));
      EXPECT_LE(r.high, std::max(h.max(), 0.0F));
    }
  const Range empty = choose_range({}, {});
  EXPECT_EQ(empty.low, 0);
  EXPECT_EQ(empty.high, 0);
}

TEST(Range, MinmaxIsExact) {
  const auto values = normals(2, 999);
  const Range r = choose_range(of(values), {.method = Method::minmax});
  EXPECT_EQ(r.low, *std::min_element(values.begin(), values.end()));
  EXPECT_EQ(r.high, *std::max_element(values.begin(), values.end()));
}

TEST(Range, PercentileIsTheQuantileWithinABin) {
  auto values = normals(4, 50001);
  const Histogram h = of(values);
  std::sort(values.begin(), values.end());
  const auto exact = [&](double share) { return values[static_cast<size_t>(share * 50000)]; };
  for (const double percentile : {99.99, 99.0, 90.0, 100.0}) {
    const double tail = (1 - percentile / 100) / 2;
    const Range r = choose_range(h, {.method = Method::percentile, .percentile = percentile});
    // One bin of the histogram, and the distance to the neighbouring samples (the quantile lies between two).
    const auto near = [&](float got, double share) {
      const double slack = h.bin_width() + 1e-6;
      EXPECT_GE(got, exact(std::max(0.0, share - 1e-4)) - slack);
      EXPECT_LE(got, exact(std::min(1.0, share + 1e-4)) + slack);
    };
    near(r.low, tail);
    near(r.high, 1 - tail);
  }
  // One-sided data: the whole tail is on that side.
  for (float& x : values) x = std::fabs(x);
  std::sort(values.begin(), values.end());
  const Range r = choose_range(of(values), {.method = Method::percentile, .percentile = 99});
  EXPECT_EQ(r.low, 0);
  EXPECT_NEAR(r.high, exact(0.99), of(values).bin_width() + 1e-3);
}

TEST(Range, MseBeatsEveryRangeOfAGrid) {
  for (const int64_t levels : {256, 16})
    for (const auto& values :
         {normals(5, 5000), normals(6, 5000, 1.5), with_outlier(40), with_outlier(-300)}) {
      const Histogram h = of(values);
      const Range r = choose_range(h, {.method = Method::mse, .levels = levels});
      const double chosen = expected_squared_error(h, r, levels).weighted();
      for (int a = 1; a <= 50; ++a)
        for (int b = 1; b <= 50; ++b) {
          const Range other{std::min(h.min(), 0.0F) * static_cast<float>(a) / 50,
                            std::max(h.max(), 0.0F) * static_cast<float>(b) / 50};
          // The search alternates between the ends: it may stop a grid step short of the best corner.
          ASSERT_LE(chosen, 1.02 * expected_squared_error(h, other, levels).weighted()) << a << " " << b;
        }
    }
}

TEST(Range, ExpectedErrorMatchesQuantizingTheValues) {
  const auto values = normals(7, 20000);
  const Histogram h = of(values);
  for (const Range range : {Range{-4, 4}, Range{-2, 2}, Range{-1, 3}}) {
    const double step = (static_cast<double>(range.high) - range.low) / 255;
    double error = 0;
    for (const float x : values) {
      const double clipped = std::clamp<double>(x, range.low, range.high);
      const double back = range.low + std::nearbyint((clipped - range.low) / step) * step;
      error += (x - back) * (x - back);
    }
    error /= 20000;
    // step^2 / 12 is the mean of 20000 uniform errors (relative deviation 0.9 / sqrt(20000)); bins are
    // narrower than steps.
    EXPECT_NEAR(expected_squared_error(h, range, 256).sum(), error, 0.05 * error);
  }
}

TEST(Range, EntropyCutsALongTail) {
  const Range kept = choose_range(of(normals(3, 20000)), {.method = Method::entropy});
  EXPECT_GT(kept.high, 2);
  const Range cut = choose_range(of(with_outlier(100)), {.method = Method::entropy});
  EXPECT_LT(cut.high, 25);
  EXPECT_GT(cut.high, 2);
}

}  // namespace
}  // namespace narrow::calib
