#include "verify/proportions.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

namespace narrow::verify {
namespace {

TEST(Normal, QuantilesOfTables) {
  EXPECT_NEAR(normal_quantile(0.975), 1.959964, 1e-6);
  EXPECT_NEAR(normal_quantile(0.8), 0.841621, 1e-6);
  EXPECT_NEAR(normal_quantile(0.5), 0, 1e-12);
  for (const double p : {1e-9, 0.01, 0.3, 0.999})
    EXPECT_NEAR(normal_cdf(normal_quantile(p)), p, 1e-12 + 1e-9 * p);
}

TEST(Tango, PublishedIntervals) {
  struct Case {
    PairedCounts counts;
    double level, low, high, digits;
  };
  // Airway hyper-responsiveness before and after stem cell transplantation (Bentur et al. 2009), as in
  // Fagerland, Lydersen & Laake, Statist. Med. 33, 2014; disinfection of contact lenses, as in Tango 1998.
  for (const Case& c :
       {Case{{21, 1, 7}, 0.95, -0.517, -0.026, 5e-4}, Case{{44, 0, 1}, 0.90, -0.096, 0.037, 5e-4}}) {
    const Interval i = tango_interval(c.counts, c.level);
    EXPECT_NEAR(i.low, c.low, c.digits);
    EXPECT_NEAR(i.high, c.high, c.digits);
  }
}

/// The same ends as roots of a polynomial (Yang, Sun & Hardin, "A non-iterative implementation of Tango's
/// score confidence interval for a paired difference of proportions", Statist. Med. 32, 2013).
double quartic(const PairedCounts& counts, double level, double d) {
  const auto n = static_cast<double>(counts.samples), b = static_cast<double>(counts.lost),
             c = static_cast<double>(counts.gained);
  const double g = std::pow(normal_quantile(0.5 + level / 2), 2), m4 = n * n * (n / g + 1) * (n / g + 1),
               m3 = -n * (b - c) * (n / g + 1) * (4 * n / g + 1),
               m2 = 2 * n * (b - c) * (b - c) * (3 * n / g + 2) / g - n * n * ((b + c) / g + 1),
               m1 = n * (b - c) * (2 * (b + c) / g + 1) - std::pow(b - c, 3) * (4 * n / g + 1) / g,
               m0 = (b - c) * (b - c) * ((b - c) * (b - c) / g - (b + c)) / g;
  return (((m4 * d + m3) * d + m2) * d + m1) * d + m0;
}

TEST(Tango, EndsAreTheRootsOfThePublishedPolynomial) {
  for (const PairedCounts& counts :
       {PairedCounts{20, 3, 1}, {50, 12, 2}, {160, 40, 20}, {400, 1, 0}, {1000, 7, 30}})
    for (const double level : {0.8, 0.95, 0.999}) {
      const Interval i = tango_interval(counts, level);
      for (const double end : {i.low, i.high}) {
        // The polynomial changes its sign within the bisection's error of 2^-59, widened to 1e-9.
        const double below = quartic(counts, level, end - 1e-9), above = quartic(counts, level, end + 1e-9);
        EXPECT_TRUE((below > 0) != (above > 0)) << counts.samples << " " << level << " " << end;
      }
    }
}

TEST(Tango, TheAssumedVarianceIsTheLikeliest) {
  // Against trying every probability on a grid: the statistic falls with the drop and is 0 at what was seen.
  const PairedCounts counts{40, 9, 3};
  for (const double drop : {-0.2, -0.05, 0.0, 0.1, 0.4}) {
    double best = -INFINITY, q = 0;
    constexpr int kSteps = 200'000;
    for (int i = 1; i < kSteps; ++i) {
      const double gained = static_cast<double>(i) / kSteps, lost = gained + drop, rest = 1 - lost - gained;
      if (lost <= 0 || rest <= 0) continue;
      const double likelihood = 9 * std::log(lost) + 3 * std::log(gained) + 28 * std::log(rest);
      if (likelihood > best) best = likelihood, q = gained;
    }
    const double z = (9 - 3 - 40 * drop) / std::sqrt(40 * (2 * q + drop - drop * drop));
    // q is known to 1 / kSteps; dz/dq = -z / (2 q + d - d^2).
    EXPECT_NEAR(tango_z(counts, drop), z, (std::fabs(z) + 1) / kSteps / (2 * q + drop - drop * drop) + 1e-9)
        << drop;
  }
  EXPECT_EQ(tango_z(counts, 0.15), 0);
  EXPECT_EQ(tango_z({40, 3, 9}, -0.1), -tango_z({40, 9, 3}, 0.1));
}

/// Sum over all (lost, gained) of n samples of probability * f.
double expectation(int64_t n, double lost, double gained,
                   const std::function<double(const PairedCounts&)>& f) {
  double sum = 0;
  const auto log_factorial = [](int64_t k) { return std::lgamma(static_cast<double>(k) + 1); };
  const auto power = [](double p, int64_t k) { return k == 0 ? 0 : static_cast<double>(k) * std::log(p); };
  for (int64_t b = 0; b <= n; ++b)
    for (int64_t c = 0; b + c <= n; ++c) {
      if ((lost == 0 && b > 0) || (gained == 0 && c > 0)) continue;
      const double log_p = log_factorial(n) - log_factorial(b) - log_factorial(c) - log_factorial(n - b - c) +
                           power(lost, b) + power(gained, c) + power(1 - lost - gained, n - b - c);
      sum += std::exp(log_p) * f({n, b, c});
    }
  return sum;
}

/// Exact coverage, by adding up every outcome. Score intervals hold 95% on the average over parameters and
/// fall below it at some; the percentile bootstrap of no discordant pair covers nothing but 0.
TEST(Tango, CoversByExhaustiveEnumeration) {
  for (const int64_t n : {15, 40}) {
    std::vector<Interval> intervals(static_cast<size_t>((n + 1) * (n + 1)));
    for (int64_t b = 0; b <= n; ++b)
      for (int64_t c = 0; b + c <= n; ++c)
        intervals[static_cast<size_t>(b * (n + 1) + c)] = tango_interval({n, b, c}, 0.95);
    double sum = 0, least = 1;
    int parameters = 0;
    for (const double gained : {0.005, 0.02, 0.05, 0.1, 0.2})
      for (const double drop : {0.0, 0.02, 0.05, 0.1, 0.2, 0.4}) {
        const double covered = expectation(n, gained + drop, gained, [&](const PairedCounts& counts) {
          const Interval& i = intervals[static_cast<size_t>(counts.lost * (n + 1) + counts.gained)];
          return i.low <= drop && drop <= i.high ? 1.0 : 0.0;
        });
        sum += covered, least = std::min(least, covered), ++parameters;
      }
    EXPECT_GE(sum / parameters, 0.95) << n;
    // Tango's own table of small samples goes down to 0.93; one atom of these sizes weighs less than 0.02.
    EXPECT_GE(least, 0.93) << n;
  }
}

TEST(Tango, WrongPassesAreAsRareAsPromised) {
  // Drop at the margin exactly: the share of outcomes that pass a gate at one-sided 2.5%, added up exactly.
  // The test is approximate: docs/gates.md says that it reaches 2.7%.
  double most = 0;
  for (const int64_t n : {50, 120})
    for (const double margin : {0.02, 0.05, 0.1})
      for (const double gained : {0.0, 0.01, 0.05, 0.2})
        most = std::max(most, expectation(n, gained + margin, gained, [&](const PairedCounts& counts) {
                          return noninferiority_p(counts, margin) < 0.025 ? 1.0 : 0.0;
                        }));
  EXPECT_LE(most, 0.027);
  EXPECT_GE(most, 0.015);  // and the test is not one that never passes
}

TEST(Tango, NothingDiffersIsNotCertain) {
  // z^2 / (n + z^2): what 0 of n leaves open.
  const double z2 = std::pow(normal_quantile(0.975), 2);
  for (const int64_t n : {10, 400, 5000}) {
    const Interval i = tango_interval({n, 0, 0}, 0.95);
    EXPECT_NEAR(i.high, z2 / (static_cast<double>(n) + z2), 1e-9);
    EXPECT_NEAR(i.low, -i.high, 1e-12);
    EXPECT_GT(noninferiority_p({n, 0, 0}, 0.9 * i.high), 0.025);
    EXPECT_LT(noninferiority_p({n, 0, 0}, 1.1 * i.high), 0.025);
  }
  const Interval none = tango_interval({0, 0, 0}, 0.95);
  EXPECT_EQ(none.low, -1);
  EXPECT_EQ(none.high, 1);
  EXPECT_EQ(tango_interval({7, 7, 0}, 0.95).high, 1);
}

TEST(Wilson, SolvesItsScoreTest) {
  for (const Share& share : {Share{10, 0}, {10, 3}, {400, 397}, {5, 5}})
    for (const double level : {0.9, 0.99}) {
      const Interval i = wilson_interval(share, level);
      const double z = normal_quantile(0.5 + level / 2);
      if (share.yes > 0) {
        EXPECT_NEAR(wilson_z(share, i.low), z, 1e-6);
      }
      if (share.yes < share.samples) {
        EXPECT_NEAR(wilson_z(share, i.high), -z, 1e-6);
      }
    }
  // Newcombe, Statist. Med. 17, 1998, table I: 81 of 263, 15 of 148, 0 of 20.
  EXPECT_NEAR(wilson_interval({263, 81}, 0.95).low, 0.2553, 5e-5);
  EXPECT_NEAR(wilson_interval({263, 81}, 0.95).high, 0.3662, 5e-5);
  EXPECT_NEAR(wilson_interval({148, 15}, 0.95).low, 0.0624, 5e-5);
  EXPECT_NEAR(wilson_interval({20, 0}, 0.95).high, 0.1611, 5e-5);
}

TEST(SamplesToShow, HaveThePowerTheyPromise) {
  // Exact power at that size. The formula is a normal approximation: one pair more or less moves the power of
  // these sizes by up to density(z) / (deviation sqrt(n)), about 0.4 / sqrt(n * discordance).
  for (const auto& [margin, discordance] : {std::pair{0.1, 0.1}, {0.1, 0.3}, {0.2, 0.2}}) {
    const int64_t n = samples_to_show(margin, discordance);
    const double m = margin,
                 power = expectation(n, discordance / 2, discordance / 2, [&](const PairedCounts&counts) {
                   return noninferiority_p(counts, m) < 0.025 ? 1.0 : 0.0;
                 });
    EXPECT_NEAR(power, 0.8, 2 * 0.4 / std::sqrt(static_cast<double>(n) * discordance)) << margin << " " << n;
    EXPECT_GT(n, 20);
  }
  // No discordance: as many as make 0 of n enough.
  const double z2 = std::pow(normal_quantile(0.975), 2);
  EXPECT_EQ(samples_to_show(0.01, 0), static_cast<int64_t>(std::ceil(z2 * 0.99 / 0.01)));
  EXPECT_EQ(samples_to_show(0, 0.1), 0);
  EXPECT_EQ(samples_to_show(1, 0.1), 0);
}

}  // namespace
}  // namespace narrow::verify
