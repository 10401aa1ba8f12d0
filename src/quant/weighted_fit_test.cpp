// Fits of unequal importance, against plain sums and every scale and zero point of a fine grid.
#include "quant/weighted_fit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"

namespace narrow::quant {
namespace {

struct Numbers {
  std::vector<float> w, importance;
};

/// A few count a hundred times as much.
Numbers numbers(size_t count, uint64_t seed) {
  Random random(seed);
  Numbers n;
  for (size_t i = 0; i < count; ++i) {
    n.w.push_back(static_cast<float>(random.normal()));
    n.importance.push_back(random.uniform(0, 1) < 0.2 ? 100.0F : 1.0F);
  }
  return n;
}

double plain_error(const Numbers& n, int levels, double scale, int zero) {
  double sum = 0;
  for (size_t i = 0; i < n.w.size(); ++i) {
    double least = std::numeric_limits<double>::infinity();
    for (int q = 0; q < levels; ++q)
      least = std::min(least, std::fabs(static_cast<double>(n.w[i]) - (q - zero) * scale));
    sum += static_cast<double>(n.importance[i]) * least * least;
  }
  return sum;
}

TEST(WeightedFit, ErrorIsThatOfTheNearestCodes) {
  const Numbers n = numbers(40, 1);
  const double plain = plain_error(n, 8, 0.4, 3);
  EXPECT_NEAR(weighted_error(n.w, n.importance, {.bits = 3}, {0.4F, 3}), plain, 1e-5 * plain);
}

/// Never worse than the fit that does not know what is important, far better in sum, near the best there is.
TEST(WeightedFit, ComesNearTheBestOfAGrid) {
  for (const int bits : {2, 3}) {
    const GroupOptions options{.bits = bits};
    const int levels = 1 << bits;
    double equal = 0, weighted = 0, least = 0;
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const Numbers n = numbers(16, seed);
      const ScaleFit fit = fit_weighted(n.w, n.importance, options, true);
      const double found = weighted_error(n.w, n.importance, options, fit),
                   before = weighted_error(n.w, n.importance, options, fit_group(n.w, options, true));
      EXPECT_LE(found, before);
      EXPECT_EQ(fit.scale, half_scale(fit.scale));
      EXPECT_TRUE(fit.zero_point >= 0 && fit.zero_point < levels);
      double best = std::numeric_limits<double>::infinity();
      for (int zero = 0; zero < levels; ++zero)
        for (double scale = 0.05; scale < 4; scale *= 1.01)
          best = std::min(best, plain_error(n, levels, scale, zero));
      equal += before, weighted += found, least += best;
    }
    EXPECT_LT(weighted, 0.8 * equal) << bits;
    EXPECT_LT(weighted, 1.5 * least) << bits;
  }
}

TEST(WeightedFit, SymmetricCodesHaveNoZeroPoint) {
  const Numbers n = numbers(32, 7);
  const GroupOptions options{.bits = 4, .symmetric = true, .f32_scales = true};
  const ScaleFit fit = fit_weighted(n.w, n.importance, options, false);
  EXPECT_EQ(fit.zero_point, 0);
  EXPECT_LE(weighted_error(n.w, n.importance, options, fit),
            weighted_error(n.w, n.importance, options, fit_group(n.w, options, false)));
}

TEST(WeightedFit, ZerosStayZeros) {
  const std::vector<float> w(8, 0.0F), importance(8, 1.0F);
  EXPECT_EQ(weighted_error(w, importance, {}, fit_weighted(w, importance, {}, true)), 0);
}

}  // namespace
}  // namespace narrow::quant
