#include "calib/check/outliers.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace narrow::calib {
namespace {

/// Samples of `values` values whose moments are drawn around 0 and 1.
SetSamples set_of(int64_t samples, int values, uint64_t seed) {
  Random random(seed);
  SetSamples set;
  for (int64_t i = 0; i < samples; ++i) set.selection.units.push_back(i);
  for (int v = 0; v < values; ++v) {
    const std::string name = "v" + std::to_string(v);
    set.order.push_back(name);
    for (int64_t i = 0; i < samples; ++i)
      set.values[name].moments.push_back(
          {static_cast<float>(random.normal()), static_cast<float>(std::exp(0.1 * random.normal())),
           static_cast<float>(-3 - random.uniform()), static_cast<float>(3 + random.uniform())});
  }
  return set;
}

TEST(FindOutliers, NormalSamplesAreNone) {
  for (uint64_t seed = 1; seed < 20; ++seed) EXPECT_TRUE(find_outliers(set_of(50, 30, seed)).empty()) << seed;
}

TEST(FindOutliers, NamesTheSampleTheValueAndTheFigure) {
  SetSamples set = set_of(40, 10, 1);
  for (auto& [name, value] : set.values) value.moments[17].mean = 15;
  set.values["v4"].moments[17].mean = 400;
  for (auto& [name, value] : set.values) value.moments[3].spread = 0;  // a constant
  const std::vector<Outlier> far = find_outliers(set);
  ASSERT_EQ(far.size(), 2U);
  const Outlier& blank = far[0].at == 3 ? far[0] : far[1];
  const Outlier& shifted = far[0].at == 3 ? far[1] : far[0];
  EXPECT_EQ(blank.at, 3);
  EXPECT_TRUE(blank.by_spread);
  EXPECT_EQ(shifted.at, 17);
  EXPECT_EQ(shifted.value, "v4");
  EXPECT_FALSE(shifted.by_spread);
  EXPECT_EQ(shifted.figure, 400);
  EXPECT_EQ(shifted.z, kMostZ);
  EXPECT_NEAR(shifted.median, 0, 0.8);  // the median of 40 normal numbers has deviation 0.2
  EXPECT_GE(far[0].distance, far[1].distance);
}

/// The distance is the root mean square over all values and both figures, by hand for two values.
TEST(FindOutliers, DistanceByHand) {
  SetSamples set;
  for (int64_t i = 0; i < 9; ++i) set.selection.units.push_back(i);
  set.order = {"a", "b"};
  for (int i = 0; i < 9; ++i) {
    const float mean = i == 8 ? 100.0F : static_cast<float>(i);
    set.values["a"].moments.push_back({mean, 1, 0, 1});  // all spreads equal: nothing to say
    set.values["b"].moments.push_back({i == 8 ? 4.0F : static_cast<float>(i % 4), 1, 0, 1});
  }
  // a: median 4, distances 4 3 2 1 0 1 2 3 96: median 2, scale 2.9652; z of 100 is 32.4, counted as 20.
  // b: 0 1 2 3 0 1 2 3 4, median 2, distances 2 1 0 1 2 1 0 1 2: median 1, scale 1.4826; z of 4 is 1.349.
  const std::vector<Outlier> far = find_outliers(set);
  ASSERT_EQ(far.size(), 1U);
  EXPECT_EQ(far[0].at, 8);
  EXPECT_NEAR(far[0].distance, std::sqrt((20 * 20 + std::pow(2 / 1.4826, 2)) / 2), 1e-12);
}

TEST(FindOutliers, SmallSetsHaveNone) {
  SetSamples set = set_of(kLeastForOutliers - 1, 4, 1);
  for (auto& [name, value] : set.values) value.moments[1].mean = 1000;
  EXPECT_TRUE(find_outliers(set).empty());
}

TEST(FindWideners, NamesWhoStretchesARangeAlone) {
  SetSamples set = set_of(20, 3, 2);
  EXPECT_TRUE(find_wideners(set).empty());
  set.values["v1"].moments[6].high = 30;
  const std::vector<Widener> wide = find_wideners(set);
  ASSERT_EQ(wide.size(), 1U);
  EXPECT_EQ(wide[0].at, 6);
  EXPECT_EQ(wide[0].value, "v1");
  float second = -100, low = 100, second_low = 100;
  for (size_t i = 0; i < 20; ++i) {
    const Moments& m = set.values["v1"].moments[i];
    if (i != 6) second = std::max(second, m.high);
    if (m.low < low)
      second_low = low, low = m.low;
    else
      second_low = std::min(second_low, m.low);
  }
  EXPECT_NEAR(
      wide[0].share,
      (30 - static_cast<double>(second)) / (static_cast<double>(second) - static_cast<double>(second_low)),
      1e-6);
}

}  // namespace
}  // namespace narrow::calib
