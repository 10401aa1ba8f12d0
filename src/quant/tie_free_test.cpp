#include "quant/tie_free.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "quant/plan_formats.h"
#include "runtime/test_graphs.h"

namespace narrow::quant {
namespace {

TEST(TieFree, RatiosAreOddCloseAndTheSmallest) {
  Random random(7);
  for (int i = 0; i < 500; ++i) {
    const double x = std::exp(random.uniform(-8, 4)), tolerance = i % 2 == 0 ? 1e-3 : 5e-3;
    const int64_t base = i % 3 == 0 ? 7 : 1;
    const auto ratio = tie_free_ratio(x, tolerance, base);
    ASSERT_TRUE(ratio) << x;
    EXPECT_EQ(ratio->q % 2, 1);
    EXPECT_EQ(ratio->q % base, 0);
    EXPECT_LE(std::fabs(ratio->value() - x), tolerance * x * (1 + 1e-9));
    for (int64_t q = base; q < ratio->q; q += 2 * base) {
      const double p = std::nearbyint(x * static_cast<double>(q));
      EXPECT_TRUE(p < 1 || std::fabs(p / static_cast<double>(q) - x) > tolerance * x * (1 - 1e-9)) << q;
    }
  }
  EXPECT_FALSE(tie_free_ratio(1e-6, 1e-3));  // not above 1 / 2^14
}

/// The point of it: every int32 sum that lands among the codes stays further from a tie than float errs.
TEST(TieFree, NoSumIsNearATie) {
  Random random(11);
  for (int i = 0; i < 20; ++i) {
    const auto ratio = tie_free_ratio(std::exp(random.uniform(-7, -2)), 1e-3);
    ASSERT_TRUE(ratio);
    const double m = static_cast<double>(static_cast<float>(ratio->value()));
    const auto most = static_cast<int64_t>(255 / m);
    for (int64_t acc = 0; acc <= most; ++acc) {
      const double v = static_cast<double>(acc) * m, distance = std::fabs(v - std::floor(v) - 0.5);
      ASSERT_GT(distance, 0.5 / static_cast<double>(ratio->q) * 0.9)
          << acc << " * " << ratio->p << '/' << ratio->q;
    }
  }
}

calib::Profile profile_of(const std::map<std::string, std::pair<float, float>>& ranges) {
  calib::Profile profile;
  for (const auto& [name, range] : ranges) {
    const std::vector<float> ends = {range.first, range.second};
    profile.values[name].histogram.add(ends);
  }
  return profile;
}

bool is_odd_fraction(double x) {
  for (int64_t q = 1; q < 1 << 14; q += 2)
    if (std::fabs(std::nearbyint(x * static_cast<double>(q)) - x * static_cast<double>(q)) <
            1e-6 * static_cast<double>(q) * x &&
        std::nearbyint(x * static_cast<double>(q)) >= 1)
      return true;
  return false;
}

/// Behind a residual the fractions have its denominator too; there must be one for every channel even so.
TEST(TieFree, FindsAWeightRatioBehindEveryResidual) {
  Random random(5);
  for (int64_t base = 1; base < 100; base += 2)
    for (int i = 0; i < 200; ++i) {
      const double x = std::exp(random.uniform(-8, -3));  // 0.0003 to 0.05 of a step for each unit of the sum
      const auto ratio = tie_free_weight_ratio(x, base);
      ASSERT_TRUE(ratio) << x << " behind " << base;
      EXPECT_EQ(ratio->q % (2 * base), base);
      EXPECT_NEAR(ratio->value(), x, 0.008 * x);
    }
}

/// Two convolutions and a residual: all ratios of the plan are odd fractions, those around the Add with one
/// denominator.
TEST(TieFree, PlansMoveScalesOfProductsAndResiduals) {
  const ir::Graph graph = testing_graphs::graph_from(R"(graph g(%x: f32[1,4,5,5]) {
    @v: f32[4,4,1,1] = blob 0 64
    @w: f32[4,4,1,1] = blob 64 64
    @b: f32[4] = [0.1,-0.2,0.3,0]
    %c = Conv(%x, @v, @b)
    %r = Relu(%c)
    %d = Conv(%r, @w, @b)
    %s = Add(%d, %r)
    %t = Relu(%s)
    %e = Conv(%t, @v, @b)
    return %e as "e"
  })");
  const auto recipe = plan_int8(graph, profile_of({{"x", {-2.7F, 3.1F}}, {"r", {0, 2.3F}}, {"t", {0, 4.9F}}}),
                                {.ranges = {.method = calib::Method::minmax}});
  ASSERT_TRUE(recipe.ok()) << recipe.error().message();
  const auto scale = [&](const char* name) {
    return static_cast<double>(recipe->activations.at(name).scale[0]);
  };
  for (const float w : recipe->weights.at("c").scale)
    EXPECT_TRUE(is_odd_fraction(scale("x") * static_cast<double>(w) / scale("r")));
  EXPECT_NEAR(scale("t"), 4.9 / 255, 4.9 / 255 * 5.1e-3);
  const auto residual = tie_free_ratio(scale("r") / scale("t"), 1e-6);
  ASSERT_TRUE(residual);
  for (const float w : recipe->weights.at("d").scale) {
    const double m = scale("r") * static_cast<double>(w) / scale("t");
    EXPECT_TRUE(tie_free_ratio(m, 1e-6, residual->q)) << m;
  }
}

}  // namespace
}  // namespace narrow::quant
