#include "calib/check/compare.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "base/random.h"

namespace narrow::calib {
namespace {

using Values = std::vector<float>;

Histogram of(const Values& values) {
  Histogram h;
  h.add(values);
  return h;
}

Values normals(uint64_t seed, size_t n, double mean = 0, double spread = 1) {
  Random random(seed);
  Values values;
  for (size_t i = 0; i < n; ++i) values.push_back(static_cast<float>(mean + spread * random.normal()));
  return values;
}

/// n values spread evenly over [low, low + 1).
Values uniform(double low, int n = 1 << 14) {
  Values values;
  for (int i = 0; i < n; ++i) values.push_back(static_cast<float>(low + (i + 0.5) / n));
  return values;
}

double share_up_to(const Values& values, float x) {
  return static_cast<double>(std::count_if(values.begin(), values.end(), [x](float v) { return v <= x; })) /
         static_cast<double>(values.size());
}

/// The largest difference of the empirical distribution functions, at every value of both.
double plain_ks(const Values& a, const Values& b) {
  double most = 0;
  for (const Values* set : {&a, &b})
    for (const float x : *set) most = std::max(most, std::fabs(share_up_to(a, x) - share_up_to(b, x)));
  return most;
}

/// The share of values in the fullest bin of this width.
double heaviest_bin(const Values& values, double width) {
  std::map<double, int> bins;
  int most = 0;
  for (const float x : values) most = std::max(most, ++bins[std::floor(static_cast<double>(x) / width)]);
  return static_cast<double>(most) / static_cast<double>(values.size());
}

TEST(Psi, ByHand) {
  const std::vector<double> even = {0.5, 0.5}, uneven = {0.25, 0.75};
  EXPECT_NEAR(psi(even, uneven), 0.25 * std::log(2) + 0.25 * std::log(1.5), 1e-12);
  EXPECT_NEAR(psi(even, uneven), psi(uneven, even), 1e-12);
  EXPECT_EQ(psi(even, even), 0);
  // An empty part counts as one of kLeastShare.
  EXPECT_NEAR(psi(std::vector<double>{1, 0}, std::vector<double>{0.9, 0.1}),
              -0.1 * std::log(0.9) + (0.1 - kLeastShare) * std::log(0.1 / kLeastShare), 1e-12);
}

TEST(Ks, OfShiftedUniformsIsTheShift) {
  const Histogram a = of(uniform(0));
  for (const double shift : {0.0, 0.125, 0.25, 0.5}) {
    // Edges of bins are multiples of 1/1024 here, and so is the shift: no bin is cut.
    const Histogram b = of(uniform(shift));
    EXPECT_NEAR(ks(a, b), shift, 1e-9) << shift;
    EXPECT_NEAR(ks(b, a), shift, 1e-9) << shift;
  }
  EXPECT_NEAR(ks(a, of(uniform(3))), 1, 1e-9);
}

/// Between the edges of bins the distance may be larger by what the heaviest bins hold, never smaller.
TEST(Ks, IsThatOfTheValuesToTheWidthOfABin) {
  for (const double spread : {0.7, 1.0, 40.0}) {
    const Values x = normals(1, 600), y = normals(2, 500, 0.3, spread);
    const Histogram a = of(x), b = of(y);
    const double got = ks(a, b), wanted = plain_ks(x, y);
    const double width = std::max(a.bin_width(), b.bin_width()),
                 bin = heaviest_bin(x, width) + heaviest_bin(y, width);
    EXPECT_LE(got, wanted + 1e-12) << spread;
    EXPECT_GE(got, wanted - bin) << spread;
  }
  EXPECT_EQ(ks(of({}), of({1})), 0);
}

TEST(Coverage, IsTheOverlapOfTheRanges) {
  EXPECT_DOUBLE_EQ(range_coverage(of({0, 1}), of({0, 2})), 0.5);
  EXPECT_DOUBLE_EQ(range_coverage(of({-1, 3}), of({0, 2})), 1);
  EXPECT_DOUBLE_EQ(range_coverage(of({-1, 0.5F}), of({0, 2})), 0.25);
  EXPECT_DOUBLE_EQ(range_coverage(of({5, 6}), of({0, 2})), 0);
  EXPECT_DOUBLE_EQ(range_coverage(of({0, 1}), of({0.5F, 0.5F})), 1);
  EXPECT_DOUBLE_EQ(range_coverage(of({0, 1}), of({2, 2})), 0);
  EXPECT_DOUBLE_EQ(range_coverage(of({}), of({1, 2})), 0);
}

TEST(ShareOutside, CountsBins) {
  // Whole numbers of -8..7 lie well inside their bins' neighbours' edges.
  Values values;
  for (int i = -8; i < 8; ++i) values.push_back(static_cast<float>(i));
  const Histogram h = of(values);
  EXPECT_DOUBLE_EQ(share_outside(h, {-4.5F, 3.5F}), 8.0 / 16);
  EXPECT_DOUBLE_EQ(share_outside(h, {-100, 100}), 0);
  EXPECT_DOUBLE_EQ(share_outside(of({}), {0, 1}), 0);
}

TEST(RangeLoss, TwiceTheStepIsSixDecibels) {
  const Histogram h = of(uniform(0));
  EXPECT_NEAR(range_loss_db(h, {0, 2}, {0, 1}, 256), 20 * std::log10(2.0), 1e-9);
  EXPECT_NEAR(range_loss_db(h, {0, 4}, {0, 1}, 256), 20 * std::log10(4.0), 1e-9);
  EXPECT_EQ(range_loss_db(h, {0, 1}, {0, 2}, 256), 0);  // better than the best: nothing is lost
}

/// By hand: half of U[0, 1) beyond 1/2 costs kClipWeight * E[(x - 1/2)^2; x > 1/2] = kClipWeight / 24.
TEST(RangeLoss, OfClipping) {
  const Histogram h = of(uniform(0));
  const double step = 0.5 / 255, best = 1.0 / 255 / 255 / 12;
  const double wanted = 10 * std::log10((kClipWeight / 24 + 0.5 * step * step / 12) / best);
  EXPECT_NEAR(range_loss_db(h, {0, 0.5F}, {0, 1}, 256), wanted, 0.02);  // bins are 1/1024 wide
  EXPECT_EQ(range_loss_db(of({0, 0, 0}), {0, 1}, {0, 0}, 256), 0);
  EXPECT_EQ(range_loss_db(of({1, 1, 1}), {0, 0}, {0, 0}, 256), 0);
}

/// Every way to deal n + m ranks: how often the r largest are all of the second set.
double plain_chance(int n, int m, int r) {
  int all = 0, met = 0;
  for (unsigned dealt = 0; dealt < 1U << (n + m); ++dealt) {
    if (__builtin_popcount(dealt) != m) continue;
    ++all;
    const unsigned top = ((1U << r) - 1) << (n + m - r);
    met += (dealt & top) == top ? 1 : 0;
  }
  return static_cast<double>(met) / all;
}

TEST(ChanceOfExceeding, CountsEveryDealing) {
  for (const auto& [n, m, r] : {std::array{3, 4, 1}, {3, 4, 2}, {3, 4, 4}, {6, 6, 3}, {1, 9, 8}})
    EXPECT_NEAR(chance_of_exceeding(n, m, r), plain_chance(n, m, r), 1e-12) << n << " " << m << " " << r;
  EXPECT_EQ(chance_of_exceeding(3, 4, 0), 1);
  EXPECT_EQ(chance_of_exceeding(3, 4, 5), 0);
  EXPECT_NEAR(chance_of_exceeding(99, 1, 1), 0.01, 1e-12);  // one more sample is the largest of a hundred
}

Counts counted(const Parts& parts, const Histogram& h) {
  Counts counts;
  parts.count(h, counts);
  return counts;
}

TEST(Parts, AreTenthsOfTheReference) {
  const Values values = normals(3, 20000);
  const Histogram h = of(values);
  const Parts parts(h);
  const std::vector<double> shares = shares_of(counted(parts, h));
  ASSERT_EQ(parts.count(), 12);  // one below and one above it all
  EXPECT_EQ(shares.front(), 0);
  EXPECT_EQ(shares.back(), 0);
  for (size_t k = 1; k + 1 < shares.size(); ++k)
    EXPECT_NEAR(shares[k], 0.1, heaviest_bin(values, h.bin_width())) << k;
  EXPECT_TRUE(std::is_sorted(parts.of_bin().begin(), parts.of_bin().end()));
}

TEST(Parts, ZerosAfterAReluHaveOne) {
  Values values = normals(4, 5000);
  for (float& x : values) x = std::max(x, 0.0F);
  values.resize(8000, 0.0F);
  const Parts parts(of(values));
  const std::vector<double> shares = shares_of(counted(parts, of(values)));
  const double zeros = static_cast<double>(std::count(values.begin(), values.end(), 0.0F)) / 8000;
  EXPECT_GT(zeros, 0.6);
  // Nothing but the smallest positive values shares the part of the zeros.
  EXPECT_NEAR(*std::max_element(shares.begin(), shares.end()), zeros, 0.05);
  EXPECT_GE(parts.count(), 4);
}

TEST(Parts, OfAConstantTellEverythingElseApart) {
  const Parts parts(of({3, 3, 3}));
  EXPECT_EQ(parts.count(), 3);
  EXPECT_EQ(counted(parts, of({3})), (Counts{0, 1, 0}));
  EXPECT_EQ(counted(parts, of({1, 2, 3.9F, 1000})), (Counts{2, 0, 2}));
  const std::vector<double> p = {0, 1, 0}, q = shares_of(counted(parts, of({1, 2, 3.9F, 1000})));
  EXPECT_GT(psi(p, q), 5);
}

/// A value's part does not depend on what else its histogram holds, as long as that is no wider.
TEST(Parts, OfNarrowerHistogramsAreExact) {
  const Histogram reference = of(normals(5, 4000, 0, 4));
  const Parts parts(reference);
  const Values values = normals(6, 300, 0.2, 0.3);
  Counts one_by_one;
  for (const float x : values) parts.count(of({x}), one_by_one);
  EXPECT_EQ(counted(parts, of(values)), one_by_one);
}

TEST(Parts, OfNothing) {
  const Parts parts(of({}));
  EXPECT_EQ(parts.count(), 1);
  EXPECT_EQ(counted(parts, of({1, 2})), (Counts{2}));
}

}  // namespace
}  // namespace narrow::calib
