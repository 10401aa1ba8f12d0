#include "numerics/distortion.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"

namespace narrow {
namespace {

Distortion of(const std::vector<float>& reference, const std::vector<float>& actual) {
  Distortion d;
  d.add(reference, actual);
  return d;
}

TEST(Distortion, MatchesTheNaiveSumsAndMerges) {
  Random random(2);
  std::vector<float> r(1000), a(1000);
  long double rr = 0, aa = 0, ra = 0, ee = 0, e1 = 0, abs = 0, most = 0;
  int zeros = 0;
  for (size_t i = 0; i < r.size(); ++i) {
    r[i] = static_cast<float>(random.normal());
    a[i] = i % 7 == 0 ? 0 : r[i] + static_cast<float>(0.1 * random.normal() + 0.02);
    const long double x = r[i], y = a[i];
    rr += x * x, aa += y * y, ra += x * y, ee += (y - x) * (y - x), e1 += y - x;
    abs += std::fabs(y - x);
    most = std::max(most, std::fabs(y - x));
    zeros += a[i] == 0;
  }
  Distortion pieces, tail;
  pieces.add(std::span(r).first(300), std::span(a).first(300));
  tail.add(std::span(r).subspan(300), std::span(a).subspan(300));
  pieces.merge(tail);
  for (const Distortion& d : {of(r, a), pieces}) {
    const double eps = 1e-12;  // 1000 additions of doubles
    EXPECT_NEAR(d.sqnr_db(), static_cast<double>(10 * std::log10(rr / ee)), 100 * eps);
    EXPECT_NEAR(d.cosine(), static_cast<double>(ra / std::sqrt(rr * aa)), eps);
    EXPECT_NEAR(d.mean_shift(), static_cast<double>(e1 / 1000), eps);
    EXPECT_NEAR(d.mae(), static_cast<double>(abs / 1000), eps);
    EXPECT_NEAR(d.rmse(), static_cast<double>(std::sqrt(ee / 1000)), eps);
    EXPECT_EQ(d.max_abs_error(), static_cast<double>(most));
    EXPECT_EQ(d.zero_share(), zeros / 1000.0);
    EXPECT_EQ(d.count(), 1000);
    EXPECT_FALSE(d.has_non_finite());
  }
}

TEST(Distortion, Edges) {
  EXPECT_EQ(Distortion().sqnr_db(), 200);
  EXPECT_EQ(Distortion().cosine(), 1);
  EXPECT_EQ(of({1, 2}, {1, 2}).sqnr_db(), 200);
  EXPECT_EQ(of({1e20F}, {1e20F}).sqnr_db(), 200);
  EXPECT_EQ(of({0, 0}, {0, 0}).sqnr_db(), 200);
  EXPECT_EQ(of({0, 0}, {0, 0}).cosine(), 1);
  EXPECT_EQ(of({0, 0}, {0, 1}).sqnr_db(), 0);
  EXPECT_EQ(of({0, 0}, {0, 1}).cosine(), 0);
  EXPECT_EQ(of({1, 2}, {0, 0}).cosine(), 0);
  EXPECT_EQ(of({1, 2}, {0, 0}).sqnr_db(), 0);
  EXPECT_EQ(of({1, 2}, {0, 0}).zero_share(), 1);
  EXPECT_NEAR(of({1, 2}, {-1, -2}).cosine(), -1, 1e-15);
}

TEST(Distortion, NaNNeverLooksPerfect) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(),
                  kInf = std::numeric_limits<float>::infinity();
  for (const float bad : {kNaN, kInf}) {
    const Distortion d = of({1, 2}, {bad, bad});
    EXPECT_TRUE(d.has_non_finite());
    EXPECT_EQ(d.sqnr_db(), 0);
    EXPECT_LT(d.cosine(), 1);
  }
}

}  // namespace
}  // namespace narrow
