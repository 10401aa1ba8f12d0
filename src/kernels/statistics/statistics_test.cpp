#include "kernels/statistics/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/lanes/test_support.h"

namespace narrow::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> values(int64_t n, bool specials) {
  Random random(static_cast<uint64_t>(n) + 1);
  std::vector<float> x;
  for (int64_t i = 0; i < n; ++i) {
    x.push_back(static_cast<float>(random.uniform(-5, 7)));
    if (i % 5 == 1) x.back() = 0;
    if (i % 7 == 2) x.back() = i % 2 == 0 ? -0.0F : -1e-45F;
    if (specials && i % 11 == 3) x.back() = i % 3 == 0 ? kNan : i % 2 == 0 ? kInf : -kInf;
  }
  return x;
}

TEST(Statistics, ExtentIsThatOfTheFiniteValues) {
  for (const Isa isa : isas_here())
    for (const int64_t n : {0, 1, 15, 16, 17, 1000}) {
      const std::vector<float> x = values(n, true);
      Extent want;
      for (const float v : x) {
        if (std::isfinite(v))
          want.min = std::min(want.min, v), want.max = std::max(want.max, v), ++want.finite;
        want.zeros += v == 0 ? 1 : 0;
        want.nans += std::isnan(v) ? 1 : 0;
      }
      const Extent got = extent_of(x.data(), n, isa);
      EXPECT_EQ(got.min, want.min) << to_string(isa) << " " << n;
      EXPECT_EQ(got.max, want.max) << to_string(isa) << " " << n;
      EXPECT_EQ(got.finite, want.finite) << to_string(isa) << " " << n;
      EXPECT_EQ(got.zeros, want.zeros) << to_string(isa) << " " << n;
      EXPECT_EQ(got.nans, want.nans) << to_string(isa) << " " << n;
    }
}

TEST(Statistics, BinsAreFloors) {
  for (const Isa isa : isas_here())
    for (const int64_t n : {1, 16, 33, 500})
      for (const float scale : {256.0F, 1.0F, 0x1p-120F}) {
        const std::vector<float> x = values(n, false);
        std::vector<int32_t> indices(static_cast<size_t>(n));
        bin_indices(x.data(), n, scale, 4096, indices.data(), isa);
        for (size_t i = 0; i < x.size(); ++i) {
          const double floor = std::floor(static_cast<double>(x[i]) * static_cast<double>(scale));
          EXPECT_EQ(indices[i], std::clamp(floor + 2048, 0.0, 4095.0)) << to_string(isa) << " " << x[i];
        }
      }
}

TEST(Statistics, ChannelsAreEqualOnAllIsas) {
  for (const int64_t channels : {1, 8, 15, 16, 40}) {
    const int64_t rows = 37, pitch = channels + 3;
    const std::vector<float> x = values(rows * pitch, false);
    std::vector<float> low(static_cast<size_t>(channels), kInf), high(low.size(), -kInf);
    std::vector<double> total(low.size(), 0.5), square(low.size(), 0.25);
    for (int64_t r = 0; r < rows; ++r)
      for (size_t c = 0; c < low.size(); ++c) {
        const float v = x[static_cast<size_t>(r * pitch) + c];
        low[c] = std::min(low[c], v), high[c] = std::max(high[c], v);
        total[c] += static_cast<double>(v);
        square[c] += static_cast<double>(v) * static_cast<double>(v);
      }
    for (const Isa isa : isas_here()) {
      std::vector<float> l(low.size(), kInf), h(low.size(), -kInf);
      std::vector<double> t(low.size(), 0.5), s(low.size(), 0.25);
      channel_statistics(x.data(), rows, pitch, channels, {l.data(), h.data(), t.data(), s.data()}, isa);
      EXPECT_EQ(l, low) << to_string(isa);
      EXPECT_EQ(h, high) << to_string(isa);
      EXPECT_EQ(t, total) << to_string(isa);
      EXPECT_EQ(s, square) << to_string(isa);
    }
  }
}

}  // namespace
}  // namespace narrow::kernels
