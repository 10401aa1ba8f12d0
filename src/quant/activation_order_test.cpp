// GPTQ in the order of the data, against one weight after the other with the inverse of what is left.
#include "quant/activation_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.h"
#include "quant/test_weights.h"

namespace narrow::quant {
namespace {

/// H of k inputs that go together, of very different size.
RoundingProblem problem_of(int64_t k, int64_t n, uint64_t seed) {
  Random random(seed);
  const auto size = static_cast<size_t>(k);
  std::vector<double> scale(size), rows;
  for (double& s : scale) s = std::exp(2 * random.normal());
  RoundingProblem p{
      .k = k, .n = n, .hessian = std::vector<float>(size * size), .factor = {}, .target = {}, .zero = {}};
  std::vector<double> h(size * size);
  for (int r = 0; r < 60; ++r) {
    std::vector<double> x(size);
    const double common = random.normal();
    for (size_t i = 0; i < size; ++i) x[i] = scale[i] * (common + 0.5 * random.normal());
    for (size_t i = 0; i < size; ++i)
      for (size_t j = 0; j < size; ++j) h[i * size + j] += x[i] * x[j] / 60;
  }
  for (size_t i = 0; i < size; ++i) h[i * size + i] += 0.01;
  std::transform(h.begin(), h.end(), p.hessian.begin(), [](double x) { return static_cast<float>(x); });
  p.factor = upper_factor(p.hessian, k);
  p.target = random_matrix(k * n, seed + 1);
  return p;
}

/// The definition: of what is not rounded yet the most important is, and the rest moves to the least error
/// given it: by the normal equations of the rest, solved by elimination.
std::vector<int> greedy_codes(const RoundingProblem& p, float scale, int low, int high) {
  const auto k = static_cast<size_t>(p.k);
  const auto h = [&](size_t i, size_t j) { return static_cast<double>(p.hessian[i * k + j]); };
  std::vector<size_t> order(k);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return h(a, a) > h(b, b); });
  std::vector<double> error(k), wanted(p.target.begin(), p.target.end());
  std::vector<int> codes(k);
  for (size_t done = 0; done < k; ++done) {
    const size_t at = order[done];
    codes[at] =
        std::clamp(static_cast<int>(std::nearbyint(wanted[at] / static_cast<double>(scale))), low, high);
    error[at] = codes[at] * static_cast<double>(scale) - static_cast<double>(p.target[at]);
    // H_RR e_R = -H_RD e_D for the rest R.
    const std::vector<size_t> rest(order.begin() + static_cast<int64_t>(done) + 1, order.end());
    const size_t m = rest.size();
    std::vector<std::vector<double>> a(m, std::vector<double>(m + 1));
    for (size_t i = 0; i < m; ++i) {
      for (size_t j = 0; j < m; ++j) a[i][j] = h(rest[i], rest[j]);
      for (size_t d = 0; d <= done; ++d) a[i][m] -= h(rest[i], order[d]) * error[order[d]];
    }
    for (size_t c = 0; c < m; ++c)
      for (size_t i = 0; i < m; ++i) {
        if (i == c) continue;
        const double f = a[i][c] / a[c][c];
        for (size_t j = c; j <= m; ++j) a[i][j] -= f * a[c][j];
      }
    for (size_t i = 0; i < m; ++i)
      wanted[rest[i]] = static_cast<double>(p.target[rest[i]]) + a[i][m] / a[i][i];
  }
  return codes;
}

TEST(ActivationOrder, RoundsTheMostImportantFirst) {
  ThreadPool pool(2);
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const RoundingProblem p = problem_of(7, 1, seed);
    WeightGrid grid;
    grid.low = -4, grid.high = 3, grid.begin = {0, 4, 7};
    const GridWeights w =
        gptq_in_activation_order(p, grid, {.codes = {}, .scale = {0.5F, 0.5F}, .zero_point = {0, 0}}, pool);
    const std::vector<int> plain = greedy_codes(p, 0.5F, -4, 3);
    EXPECT_TRUE(std::equal(plain.begin(), plain.end(), w.codes.begin())) << seed;
  }
}

TEST(ActivationOrder, GroupsKeepTheirScalesAndZeroPoints) {
  ThreadPool pool(2);
  const RoundingProblem p = problem_of(12, 20, 3);
  WeightGrid grid;
  grid.low = 0, grid.high = 15, grid.begin = {0, 4, 8, 12};
  GridWeights fixed;
  for (int64_t g = 0; g < 3; ++g)
    for (int64_t n = 0; n < p.n; ++n) {
      fixed.scale.push_back(0.01F * static_cast<float>(1 + g) + 0.005F * static_cast<float>(n));
      fixed.zero_point.push_back(static_cast<int16_t>(5 + g));
    }
  const GridWeights w = gptq_in_activation_order(p, grid, fixed, pool);
  EXPECT_EQ(w.scale, fixed.scale);
  EXPECT_EQ(w.zero_point, fixed.zero_point);
  // The first to be rounded has nothing to take up: its code is the nearest.
  size_t first = 0;
  for (size_t k = 1; k < 12; ++k)
    if (p.hessian[k * 13] > p.hessian[first * 13]) first = k;
  for (size_t n = 0; n < 20; ++n) {
    const size_t at = first * 20 + n, group = first / 4 * 20 + n;
    const auto nearest =
        static_cast<int>(std::nearbyint(p.target[at] / fixed.scale[group])) + fixed.zero_point[group];
    EXPECT_EQ(w.codes[at], std::clamp(nearest, 0, 15));
  }
}

/// A weight apart takes up all it is asked for, to FP16's 11 bits, with the code that stands for zero.
TEST(ActivationOrder, WeightsApartAreNumbers) {
  ThreadPool pool(1);
  RoundingProblem p = problem_of(8, 2, 4);
  p.apart.assign(16, 0);
  size_t first = 0;  // the most important: nothing was rounded before it
  for (size_t k = 1; k < 8; ++k)
    if (p.hessian[k * 9] > p.hessian[first * 9]) first = k;
  p.apart[2 * first] = p.apart[1] = 1;
  WeightGrid grid;
  grid.low = 0, grid.high = 15, grid.begin = {0, 8};
  const GridWeights fixed{.codes = {}, .scale = {0.1F, 0.1F}, .zero_point = {7, 8}};
  const GridWeights w = gptq_in_activation_order(p, grid, fixed, pool);
  for (size_t i = 0; i < 16; ++i) EXPECT_EQ(w.is_apart(i), p.apart[i] != 0) << i;
  EXPECT_EQ(w.codes[2 * first], 7);
  EXPECT_EQ(w.codes[1], 8);
  const float target = p.target[2 * first];
  EXPECT_NEAR(w.apart[2 * first], target, std::ldexp(std::fabs(target), -11));
}

TEST(ActivationOrder, ZerosStay) {
  ThreadPool pool(1);
  RoundingProblem p = problem_of(8, 3, 9);
  p.zero.assign(24, 0);
  for (size_t i = 0; i < 24; i += 5) p.zero[i] = 1;
  WeightGrid grid;
  grid.low = 0, grid.high = 15, grid.begin = {0, 8};
  const GridWeights fixed{.codes = {}, .scale = {0.1F, 0.1F, 0.1F}, .zero_point = {7, 8, 9}};
  const GridWeights w = gptq_in_activation_order(p, grid, fixed, pool);
  for (size_t i = 0; i < 24; i += 5) EXPECT_EQ(w.codes[i], fixed.zero_point[i % 3]);
}

}  // namespace
}  // namespace narrow::quant
