// Half-quadratic scales: against the nearest codes' by the norm they are made for, and by plain sums.
#include "quant/half_quadratic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "quant/apply_steps.h"
#include "quant/plan_formats.h"
#include "quant/regions.h"
#include "runtime/test_graphs.h"

namespace narrow::quant {
namespace {

/// A few of them far out, as in trained weights.
std::vector<float> heavy_tailed(size_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> w(count);
  for (float& x : w) x = static_cast<float>(random.normal() * (random.uniform(0, 1) < 0.05 ? 4 : 1));
  return w;
}

/// By definition, code after code: the least |w - w'| of all codes there are, to the power p.
double plain_error(const std::vector<float>& w, int levels, const ScaleFit& fit, double p) {
  double sum = 0;
  for (const float x : w) {
    double least = std::numeric_limits<double>::infinity();
    for (int q = 0; q < levels; ++q)
      least = std::min(least, std::fabs(static_cast<double>(x) - static_cast<double>(q - fit.zero_point) *
                                                                     static_cast<double>(fit.scale)));
    sum += std::pow(least, p);
  }
  return sum;
}

TEST(HalfQuadratic, NormErrorIsThatOfTheNearestCodes) {
  const std::vector<float> w = heavy_tailed(50, 1);
  const ScaleFit fit{0.37F, 6};
  for (const double p : {0.7, 1.0, 2.0}) {
    const double plain = plain_error(w, 16, fit, p);
    EXPECT_NEAR(norm_error(w, {.bits = 4}, fit, p), plain, 1e-4 * plain) << p;
  }
}

TEST(HalfQuadratic, ErrsNoMoreThanNearestInItsNorm) {
  for (const int bits : {2, 3, 4})
    for (const bool symmetric : {false, true})
      for (const double p : {0.5, 0.7, 1.0, 2.0}) {
        const GroupOptions options{.bits = bits, .symmetric = symmetric};
        double nearest = 0, chosen = 0;
        for (uint64_t seed = 0; seed < 40; ++seed) {
          const std::vector<float> w = heavy_tailed(32, seed);
          const ScaleFit fit = fit_half_quadratic(w, options, true, {.norm = p});
          const double now = norm_error(w, options, fit, p),
                       before = norm_error(w, options, fit_group(w, options, true), p);
          EXPECT_LE(now, before);
          nearest += before, chosen += now;
          EXPECT_EQ(fit.scale, half_scale(fit.scale));
          if (symmetric) {
            EXPECT_EQ(fit.zero_point, 0);
          }
        }
        if (p < 2) {
          EXPECT_LT(chosen, 0.99 * nearest) << bits << " bits, p " << p;
        }
      }
}

TEST(HalfQuadratic, RefitsWhatARecipeStoresInGroupsForAnyNumberOfThreads) {
  const ir::Graph graph = testing_graphs::graph_from(R"(graph g(%x: f32[4,64]) {
  @w: f32[64,8] = blob 0 2048
  %y = MatMul(%x, @w)
  return %y as "y"
}
)");
  Recipe one = plan_weight_only(graph, nullptr, {.bits = 3, .group_size = 16}), two = one;
  const std::string key = one.groups.begin()->first;
  const std::vector<float> before = to_floats(dequantize_groups(one.groups.at(key)));
  ThreadPool single(1), several(3);
  const HalfQuadraticReport report = half_quadratic(graph, nullptr, one, single);
  half_quadratic(graph, nullptr, two, several);
  const std::vector<float> w = to_floats(weights_of(*graph.nodes().front())->constant()),
                           after = to_floats(dequantize_groups(one.groups.at(key)));
  double nearest = 0, chosen = 0;
  for (size_t i = 0; i < w.size(); ++i) {
    nearest += std::pow(std::fabs(static_cast<double>(w[i]) - static_cast<double>(before[i])), 0.7);
    chosen += std::pow(std::fabs(static_cast<double>(w[i]) - static_cast<double>(after[i])), 0.7);
  }
  EXPECT_EQ(report.layers, 1);
  EXPECT_NEAR(report.nearest, nearest, 1e-9 * nearest);
  EXPECT_NEAR(report.chosen, chosen, 1e-9 * nearest);
  EXPECT_LT(chosen, nearest);
  EXPECT_EQ(to_floats(dequantize_groups(two.groups.at(key))), after);
}

}  // namespace
}  // namespace narrow::quant
