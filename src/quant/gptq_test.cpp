// Rounding by the error of the result, against trying every combination of codes.
#include "quant/gptq.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "quant/refine_codes.h"
#include "quant/test_weights.h"

namespace narrow::quant {
namespace {

/// Rows of `k` numbers that go together: neighbours share most of their variance.
Moments correlated_moments(int64_t k, uint64_t seed) {
  Random random(seed);
  Moments m;
  m.k = k, m.rows = 200;
  const auto size = static_cast<size_t>(k);
  m.quantized.assign(size * size, 0), m.mean_quantized.assign(size, 0);
  for (int64_t r = 0; r < m.rows; ++r) {
    std::vector<double> x(size);
    const double common = random.normal();
    for (double& v : x) v = common + 0.5 * random.normal();
    for (size_t i = 0; i < size; ++i)
      for (size_t j = 0; j < size; ++j) m.quantized[i * size + j] += x[i] * x[j];
  }
  m.cross = m.quantized, m.mean = m.mean_quantized;
  return m;
}

/// Codes -2..1 in steps of 0.7, one run of all k.
WeightGrid coarse_grid(int64_t k) {
  WeightGrid grid;
  grid.low = -2, grid.high = 1, grid.begin = {0, k};
  return grid;
}

GridWeights scales_for(const WeightGrid& grid, int64_t n, float scale) {
  GridWeights fixed;
  fixed.scale.assign(static_cast<size_t>(grid.groups() * n), scale);
  fixed.zero_point.assign(fixed.scale.size(), 0);
  return fixed;
}

GridWeights nearest(const RoundingProblem& p, const WeightGrid& grid, const GridWeights& scales) {
  GridWeights out = scales;
  for (size_t i = 0; i < p.target.size(); ++i)
    out.codes.push_back(
        static_cast<int16_t>(std::clamp(std::nearbyint(p.target[i] / scales.scale[0]),
                                        static_cast<float>(grid.low), static_cast<float>(grid.high))));
  return out;
}

double error_with(const RoundingProblem& p, const WeightGrid& grid, const GridWeights& w) {
  return error_of(p, values_of(p, grid, w));
}

/// The least error of any codes, column by column.
double least_error(const RoundingProblem& p, const WeightGrid& grid, const GridWeights& scales) {
  double sum = 0;
  for (int64_t c = 0; c < p.n; ++c) {
    double least = std::numeric_limits<double>::infinity();
    const int levels = grid.high - grid.low + 1;
    for (int64_t word = 0; word < static_cast<int64_t>(std::pow(levels, p.k)); ++word) {
      std::vector<double> e(static_cast<size_t>(p.k));
      int64_t rest = word;
      for (int64_t k = 0; k < p.k; ++k, rest /= levels)
        e[static_cast<size_t>(k)] = (grid.low + static_cast<double>(rest % levels)) * scales.scale[0] -
                                    p.target[static_cast<size_t>(k * p.n + c)];
      double error = 0;
      for (int64_t i = 0; i < p.k; ++i)
        for (int64_t j = 0; j < p.k; ++j)
          error += e[static_cast<size_t>(i)] *
                   static_cast<double>(p.hessian[static_cast<size_t>(i * p.k + j)]) *
                   e[static_cast<size_t>(j)];
      least = std::min(least, error);
    }
    sum += least;
  }
  return sum;
}

TEST(Gptq, ComesNearTheBestOfAllCodes) {
  ThreadPool pool(2);
  double round_error = 0, gptq_error = 0, refined_error = 0, least = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const RoundingProblem p =
        make_problem(correlated_moments(5, seed), random_matrix(5 * 3, seed + 100), {.damping = 1e-3});
    const WeightGrid grid = coarse_grid(p.k);
    const GridWeights scales = scales_for(grid, p.n, 0.7F);
    GridWeights w = gptq(p, grid, scales, pool);
    round_error += error_with(p, grid, nearest(p, grid, scales));
    gptq_error += error_with(p, grid, w);
    const double before = error_with(p, grid, w);
    refine_codes(p, grid, {.scales = false}, w, pool);
    EXPECT_LE(error_with(p, grid, w), before * (1 + 1e-5));
    refined_error += error_with(p, grid, w);
    least += least_error(p, grid, scales);
  }
  EXPECT_LT(gptq_error, 0.7 * round_error);
  EXPECT_LE(refined_error, gptq_error);
  EXPECT_GE(refined_error, least * (1 - 1e-5));
  EXPECT_LT(refined_error, 1.3 * least);
}

/// Inputs that do not go together: nothing is better than the nearest code.
TEST(Gptq, IsNearestRoundingWithoutCorrelation) {
  Moments m = correlated_moments(6, 1);
  for (size_t i = 0; i < m.quantized.size(); ++i) m.quantized[i] = i % 7 == 0 ? 200.0 : 0.0;
  m.cross = m.quantized;
  ThreadPool pool(1);
  const RoundingProblem p = make_problem(m, random_matrix(6 * 40, 2), {});
  const WeightGrid grid = coarse_grid(p.k);
  const GridWeights scales = scales_for(grid, p.n, 0.7F);
  GridWeights w = gptq(p, grid, scales, pool);
  EXPECT_EQ(w.codes, nearest(p, grid, scales).codes);
  refine_codes(p, grid, {.scales = false}, w, pool);
  EXPECT_EQ(w.codes, nearest(p, grid, scales).codes);
}

/// Data that quantization halved want weights twice as large.
TEST(RoundingProblem, AimsAtTheOriginalsResult) {
  const Moments full = correlated_moments(4, 3);
  Moments halved = full;
  for (double& v : halved.quantized) v /= 4;
  for (double& v : halved.cross) v /= 2;
  const std::vector<float> w = random_matrix(4 * 2, 4);
  const RoundingProblem p = make_problem(halved, w, {.damping = 1e-9});
  for (size_t i = 0; i < w.size(); ++i) EXPECT_NEAR(p.target[i], 2 * w[i], 1e-3 * (1 + std::fabs(w[i])));
}

/// A residual that lost a third of what the layer reads first wants that weight raised by as much.
TEST(RoundingProblem, MakesUpForTheResidual) {
  Moments m = correlated_moments(3, 8);
  m.n = 2;
  m.residual.assign(6, 0), m.mean_residual.assign(2, 0);
  for (size_t i = 0; i < 3; ++i) m.residual[i * 2] = m.quantized[i * 3] / 3;  // r - r' = (x'_0 / 3, 0)
  const std::vector<float> w = random_matrix(6, 9);
  const RoundingProblem p = make_problem(m, w, {.damping = 1e-9});
  for (size_t i = 0; i < 6; ++i) EXPECT_NEAR(p.target[i], w[i] + (i == 0 ? 1.0F / 3 : 0.0F), 1e-4) << i;
}

TEST(RoundingProblem, LeavesMeansToTheBias) {
  Moments m = correlated_moments(3, 5);
  Moments moved = m;
  const std::vector<double> shift = {3, -2, 1};
  for (size_t i = 0; i < 3; ++i)
    for (size_t j = 0; j < 3; ++j)
      moved.quantized[i * 3 + j] += static_cast<double>(m.rows) * shift[i] * shift[j];
  moved.cross = moved.quantized, moved.mean = moved.mean_quantized = shift;
  const std::vector<float> w = random_matrix(3 * 2, 6);
  const RoundingProblem a = make_problem(m, w, {.centred = true}),
                        b = make_problem(moved, w, {.centred = true});
  for (size_t i = 0; i < a.hessian.size(); ++i) EXPECT_NEAR(a.hessian[i], b.hessian[i], 1e-5);
}

/// Scales that are fitted can only lower the error, whatever the file can hold of them.
TEST(RefineCodes, FitsScales) {
  ThreadPool pool(2);
  const RoundingProblem p = make_problem(correlated_moments(16, 7), random_matrix(16 * 50, 8), {});
  WeightGrid grid;
  grid.low = -8, grid.high = 7, grid.begin = {0, 8, 16};
  grid.storable = [](float s, int64_t, int) { return std::ldexp(std::nearbyint(std::ldexp(s, 9)), -9); };
  GridWeights fixed = gptq(p, grid, scales_for(grid, p.n, 0.45F), pool), fitted = fixed;
  refine_codes(p, grid, {.scales = false}, fixed, pool);
  refine_codes(p, grid, {}, fitted, pool);
  EXPECT_LT(error_with(p, grid, fitted), 0.9 * error_with(p, grid, fixed));
  for (const float s : fitted.scale) EXPECT_EQ(s, s == 0.45F ? s : grid.storable(s, 0, 0));
  // Where it stopped no single code can move to advantage.
  const double at_rest = error_with(p, grid, fitted);
  for (size_t i = 0; i < fitted.codes.size(); ++i)
    for (const int move : {-1, 1}) {
      GridWeights other = fitted;
      const int code = other.codes[i] + move;
      if (code < grid.low || code > grid.high) continue;
      other.codes[i] = static_cast<int16_t>(code);
      EXPECT_GE(error_with(p, grid, other), at_rest * (1 - 1e-5)) << i;
    }
}

/// Scales of few multiples: the best whole one for each run, all others as they are.
TEST(RefineCodes, FitsWholeSteps) {
  ThreadPool pool(2);
  const RoundingProblem p = make_problem(correlated_moments(24, 17), random_matrix(24 * 50, 18), {});
  WeightGrid grid;
  grid.low = -8, grid.high = 7, grid.begin = {0, 8, 16, 24}, grid.whole_steps = true;
  const auto unit = [](int64_t column) { return 0.05F + 0.001F * static_cast<float>(column); };
  grid.storable = [&](float s, int64_t column, int) {
    return unit(column) * std::clamp(std::nearbyint(s / unit(column)), 1.0F, 15.0F);
  };
  GridWeights start;
  for (int64_t run = 0; run < grid.groups(); ++run)
    for (int64_t c = 0; c < p.n; ++c) start.scale.push_back(9 * unit(c)), start.zero_point.push_back(0);
  GridWeights fixed = gptq(p, grid, start, pool), fitted = fixed;
  refine_codes(p, grid, {.scales = false}, fixed, pool);
  refine_codes(p, grid, {}, fitted, pool);
  const double at_rest = error_with(p, grid, fitted);
  EXPECT_LT(at_rest, 0.9 * error_with(p, grid, fixed));
  for (size_t i = 0; i < fitted.scale.size(); ++i) {
    const float u = unit(static_cast<int64_t>(i) % p.n), steps = std::nearbyint(fitted.scale[i] / u);
    EXPECT_EQ(fitted.scale[i], u * steps);
    EXPECT_TRUE(steps >= 1 && steps <= 15);
  }
}

/// Every third weight of every second column stands apart.
RoundingProblem problem_with_apart(int64_t k, int64_t n, uint64_t seed) {
  RoundingProblem p = make_problem(correlated_moments(k, seed), random_matrix(k * n, seed + 1), {});
  for (int64_t i = 0; i < k * n; ++i) p.apart.push_back(i / n % 3 == 0 && i % n % 2 == 0 ? 1 : 0);
  return p;
}

/// By the formula, column by column: what stands apart errs by its rounding to FP16 only.
TEST(Gptq, WeightsApartByPlainLoops) {
  ThreadPool pool(2);
  const RoundingProblem p = problem_with_apart(7, 40, 21);
  const WeightGrid grid = coarse_grid(p.k);
  const GridWeights found = gptq(p, grid, scales_for(grid, p.n, 0.7F), pool);
  const auto factor = [&](int64_t i, int64_t j) {
    return static_cast<double>(p.factor[static_cast<size_t>(i * p.k + j)]);
  };
  for (int64_t c = 0; c < p.n; ++c) {
    std::vector<double> error(static_cast<size_t>(p.k));
    for (int64_t k = p.k - 1; k >= 0; --k) {
      const auto at = static_cast<size_t>(k * p.n + c);
      const auto target = static_cast<double>(p.target[at]);
      double wanted = target;
      for (int64_t j = k + 1; j < p.k; ++j)
        wanted -= factor(k, j) * error[static_cast<size_t>(j)] / factor(k, k);
      double number = std::clamp(std::nearbyint(wanted / static_cast<double>(0.7F)), -2.0, 1.0) *
                      static_cast<double>(0.7F);
      EXPECT_EQ(found.is_apart(at), p.is_apart(k, c));
      if (p.is_apart(k, c)) {
        // FP16 rounds by 2^-11, and FP32 sums of seven terms may fall on the other side of a tie.
        EXPECT_NEAR(found.apart[at], wanted, std::fabs(wanted) * std::ldexp(1.1, -11));
        EXPECT_EQ(found.apart[at], half_number(found.apart[at]));
        EXPECT_EQ(found.codes[at], 0);
        number = static_cast<double>(found.apart[at]);
      } else {
        EXPECT_EQ(found.codes[at], std::nearbyint(number / 0.7));
      }
      error[static_cast<size_t>(k)] = number - target;
    }
  }
}

TEST(Gptq, ScalesAreFittedWithoutWhatStandsApart) {
  ThreadPool pool(1);
  const RoundingProblem p = problem_with_apart(6, 2, 23);
  WeightGrid grid = coarse_grid(p.k);
  std::vector<size_t> seen(2);
  grid.fit = [&](std::span<const float> numbers, std::span<const float> importance, int64_t column) {
    EXPECT_EQ(numbers.size(), importance.size());
    seen[static_cast<size_t>(column)] = numbers.size();
    return ScaleFit{0.7F, 0};
  };
  (void)gptq(p, grid, {}, pool);
  EXPECT_EQ(seen, (std::vector<size_t>{4, 6}));
}

/// Codes, scales and what stands apart move to where the error is less, of two codes as well.
TEST(RefineCodes, MovesWhatStandsApart) {
  ThreadPool pool(2);
  for (const int stride : {1, 2}) {
    const RoundingProblem p = problem_with_apart(24, 40, 25);
    WeightGrid grid = coarse_grid(p.k);
    if (stride == 2) grid.low = -1, grid.high = 1, grid.stride = 2;
    grid.storable = [](float s, int64_t, int) { return s; };
    RoundingProblem without = p;
    without.apart.clear();
    const GridWeights scales = scales_for(grid, p.n, 0.7F);
    GridWeights all_codes = gptq(without, grid, scales, pool), some = gptq(p, grid, scales, pool);
    EXPECT_LT(error_with(p, grid, some), error_with(without, grid, all_codes));
    double before = error_with(p, grid, some);
    for (const bool fitted : {false, true}) {
      refine_codes(p, grid, {.scales = fitted}, some, pool);
      const double after = error_with(p, grid, some);
      EXPECT_LT(after, before) << stride;
      before = after;
    }
    refine_codes(without, grid, {}, all_codes, pool);
    EXPECT_LT(before, error_with(without, grid, all_codes));
  }
}

TEST(Gptq, DoesNotDependOnThreads) {
  const RoundingProblem p = make_problem(correlated_moments(40, 9), random_matrix(40 * 100, 10), {});
  WeightGrid grid;
  grid.low = 0, grid.high = 15, grid.begin = {0, 16, 32, 40};
  grid.fit = [](std::span<const float> x, std::span<const float>, int64_t) {
    return fit_group(x, {.bits = 4, .group_size = 16}, true);
  };
  grid.storable = [](float s, int64_t, int) { return s; };
  std::vector<GridWeights> seen;
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    seen.push_back(gptq(p, grid, {}, pool));
    refine_codes(p, grid, {}, seen.back(), pool);
  }
  EXPECT_EQ(seen[0].codes, seen[1].codes);
  EXPECT_EQ(seen[0].codes, seen[2].codes);
  EXPECT_EQ(seen[0].scale, seen[2].scale);
}

}  // namespace
}  // namespace narrow::quant
