// Pruning against plain loops: which weights go, and what the others become.
#include "quant/prune.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "quant/gptq.h"
#include "quant/groups.h"
#include "quant/refine_codes.h"
#include "quant/test_weights.h"
#include "quant/weighted_fit.h"

namespace narrow::quant {
namespace {

constexpr int64_t kColumns = 37;  // more than a block of columns, and a tail

HeavyShape matrix_shape(int64_t k, int64_t n, int64_t positions = 1) {
  HeavyShape shape;
  shape.k = k, shape.n = n, shape.positions = positions, shape.channels = k / positions;
  return shape;
}

/// Rows whose numbers go together; `common` 0: they do not.
Moments moments_of(int64_t k, double common, uint64_t seed) {
  Random random(seed);
  Moments m;
  m.k = k, m.rows = 4 * k + 50;
  const auto size = static_cast<size_t>(k);
  m.quantized.assign(size * size, 0), m.mean_quantized.assign(size, 0);
  for (int64_t r = 0; r < m.rows; ++r) {
    std::vector<double> x(size);
    const double shared = common * random.normal();
    for (double& v : x) v = shared + random.normal();
    for (size_t i = 0; i < size; ++i)
      for (size_t j = 0; j < size; ++j) m.quantized[i * size + j] += x[i] * x[j];
  }
  if (common == 0)  // exactly
    for (size_t i = 0; i < size; ++i)
      for (size_t j = 0; j < size; ++j)
        m.quantized[i * size + j] = i == j ? static_cast<double>(m.rows) * static_cast<double>(1 + i % 5) : 0;
  m.cross = m.quantized, m.mean = m.mean_quantized;
  return m;
}

int64_t kept_in(const std::vector<uint8_t>& keep) { return std::count(keep.begin(), keep.end(), 1); }

/// n of each m in every column.
void expect_pattern(const std::vector<uint8_t>& keep, int64_t columns, int64_t n, int64_t m) {
  const int64_t k = static_cast<int64_t>(keep.size()) / columns;
  for (int64_t c = 0; c < columns; ++c)
    for (int64_t first = 0; first < k; first += m) {
      int64_t there = 0;
      for (int64_t i = first; i < first + m; ++i) there += keep[static_cast<size_t>(i * columns + c)];
      EXPECT_EQ(there, n) << "rows from " << first << " of column " << c;
    }
}

TEST(PrunePattern, OfMagnitudeTheSmallestGo) {
  const std::vector<float> w = random_matrix(24 * kColumns, 1);
  const std::vector<uint8_t> keep =
      keep_by_magnitude(w, kColumns, {.sparsity = 0.25}, matrix_shape(24, kColumns));
  EXPECT_EQ(kept_in(keep), 24 * kColumns - 24 * kColumns / 4);
  float largest_gone = 0, smallest_kept = 1e9F;
  for (size_t i = 0; i < w.size(); ++i) {
    if (keep[i] != 0)
      smallest_kept = std::min(smallest_kept, std::fabs(w[i]));
    else
      largest_gone = std::max(largest_gone, std::fabs(w[i]));
  }
  EXPECT_LE(largest_gone, smallest_kept);
}

TEST(PrunePattern, HoldsInEveryColumn) {
  const RoundingProblem p = make_problem(moments_of(24, 1, 2), random_matrix(24 * kColumns, 3), {});
  const HeavyShape shape = matrix_shape(24, kColumns, 3);
  ThreadPool pool(2);
  for (const auto& [n, m] : {std::pair<int64_t, int64_t>{2, 4}, {1, 4}, {4, 8}}) {
    const PrunePattern pattern{.n = n, .m = m};
    expect_pattern(keep_by_magnitude(p.target, kColumns, pattern, shape), kColumns, n, m);
    expect_pattern(keep_by_loss(p, p.target, pattern, shape, pool), kColumns, n, m);
  }
}

/// Blocks of 4 in positions of 6 rows: 4 and 2.
TEST(PrunePattern, BlocksGoAsAWhole) {
  const RoundingProblem p = make_problem(moments_of(18, 1, 4), random_matrix(18 * kColumns, 5), {});
  const HeavyShape shape = matrix_shape(18, kColumns, 3);
  ThreadPool pool(1);
  const PrunePattern pattern{.sparsity = 0.5, .block = 4};
  for (const auto& keep : {keep_by_magnitude(p.target, kColumns, pattern, shape),
                           keep_by_loss(p, p.target, pattern, shape, pool)}) {
    for (int64_t position = 0; position < 3; ++position)
      for (const auto& [from, to] : {std::pair<int64_t, int64_t>{0, 4}, {4, 6}})
        for (int64_t c = 0; c < kColumns; ++c)
          for (int64_t r = from; r < to; ++r)
            EXPECT_EQ(keep[static_cast<size_t>((position * 6 + r) * kColumns + c)],
                      keep[static_cast<size_t>((position * 6 + from) * kColumns + c)]);
    EXPECT_NEAR(static_cast<double>(kept_in(keep)), 9 * kColumns, 4);
  }
}

/// Inputs that do not go together: a weight's absence costs H_kk w^2, a block's the sum of these.
TEST(Prune, WithoutCorrelationTheLossIsASum) {
  const int64_t k = 40;
  const RoundingProblem p = make_problem(moments_of(k, 0, 6), random_matrix(k * kColumns, 7), {});
  ThreadPool pool(1);
  for (const int64_t block : {1, 4}) {
    const std::vector<uint8_t> keep =
        keep_by_loss(p, p.target, {.sparsity = 0.5, .block = block}, matrix_shape(k, kColumns), pool);
    EXPECT_EQ(kept_in(keep), k * kColumns / 2);
    double dearest_gone = 0, cheapest_kept = 1e30;
    for (int64_t c = 0; c < kColumns; ++c)
      for (int64_t first = 0; first < k; first += block) {
        double cost = 0;
        for (int64_t i = first; i < first + block; ++i) {
          const double w = p.target[static_cast<size_t>(i * kColumns + c)];
          cost += static_cast<double>(p.hessian[static_cast<size_t>(i * k + i)]) * w * w;
        }
        if (keep[static_cast<size_t>(first * kColumns + c)] != 0)
          cheapest_kept = std::min(cheapest_kept, cost);
        else
          dearest_gone = std::max(dearest_gone, cost);
      }
    EXPECT_LE(dearest_gone, cheapest_kept * (1 + 1e-5)) << block;
  }
}

/// What is best for one column, by elimination in double: H_KK v = (H w*)_K.
std::vector<double> best_of_kept(const RoundingProblem& p, const std::vector<uint8_t>& keep, int64_t column) {
  std::vector<size_t> there;
  for (int64_t i = 0; i < p.k; ++i)
    if (keep[static_cast<size_t>(i * p.n + column)] != 0) there.push_back(static_cast<size_t>(i));
  const size_t n = there.size(), k = static_cast<size_t>(p.k);
  std::vector<std::vector<double>> a(n, std::vector<double>(n + 1, 0));
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) a[i][j] = p.hessian[there[i] * k + there[j]];
    for (size_t j = 0; j < k; ++j)
      a[i][n] += static_cast<double>(p.hessian[there[i] * k + j]) *
                 static_cast<double>(p.target[j * static_cast<size_t>(p.n) + static_cast<size_t>(column)]);
  }
  for (size_t i = 0; i < n; ++i)
    for (size_t r = 0; r < n; ++r) {
      if (r == i) continue;
      const double factor = a[r][i] / a[i][i];
      for (size_t j = i; j <= n; ++j) a[r][j] -= factor * a[i][j];
    }
  std::vector<double> v(k, 0);
  for (size_t i = 0; i < n; ++i) v[there[i]] = a[i][n] / a[i][i];
  return v;
}

TEST(Prune, WhatStaysIsTheBestThatCanStay) {
  const RoundingProblem p =
      make_problem(moments_of(30, 2, 8), random_matrix(30 * kColumns, 9), {.damping = 0.01});
  ThreadPool pool(2);
  const std::vector<uint8_t> keep =
      keep_by_loss(p, p.target, {.sparsity = 0.5}, matrix_shape(30, kColumns), pool);
  const std::vector<float> v = fit_kept(p, keep, pool);
  for (int64_t c = 0; c < kColumns; ++c) {
    const std::vector<double> best = best_of_kept(p, keep, c);
    for (int64_t i = 0; i < p.k; ++i) {
      const auto at = static_cast<size_t>(i * p.n + c);
      if (keep[at] == 0) {
        EXPECT_EQ(v[at], 0.0F);
      } else {  // the iteration ends at 1e-5 of the first residual, H's condition is below 1e3
        EXPECT_NEAR(v[at], best[static_cast<size_t>(i)], 1e-2) << "row " << i << " of column " << c;
      }
    }
  }
}

/// With data that go together: the loss chooses better than the magnitude, and making up is better than not.
TEST(Prune, LossAndCompensationBeatNeither) {
  ThreadPool pool(2);
  const int64_t k = 160;  // two panels
  for (const PrunePattern& pattern : {PrunePattern{.sparsity = 0.5}, PrunePattern{.n = 2, .m = 4},
                                      PrunePattern{.sparsity = 0.5, .block = 8}}) {
    double alone = 0, fitted = 0, by_loss = 0;
    for (uint64_t seed = 0; seed < 4; ++seed) {
      Moments m = moments_of(k, 1.5, seed);
      for (int64_t i = 0; i < k; ++i)  // channels of different size
        for (int64_t j = 0; j < k; ++j)
          m.quantized[static_cast<size_t>(i * k + j)] *=
              (1.0 + static_cast<double>(i % 7)) * (1.0 + static_cast<double>(j % 7));
      m.cross = m.quantized;
      const std::vector<float> w = random_matrix(k * kColumns, seed + 50);
      const RoundingProblem p = make_problem(m, w, {});
      const HeavyShape shape = matrix_shape(k, kColumns);
      const std::vector<uint8_t> magnitude = keep_by_magnitude(w, kColumns, pattern, shape),
                                 loss = keep_by_loss(p, w, pattern, shape, pool);
      std::vector<float> masked = w;
      for (size_t i = 0; i < masked.size(); ++i) masked[i] *= static_cast<float>(magnitude[i]);
      alone += error_of(p, masked);
      fitted += error_of(p, fit_kept(p, magnitude, pool));
      by_loss += error_of(p, fit_kept(p, loss, pool));
    }
    EXPECT_LT(fitted, 0.9 * alone);
    EXPECT_LT(by_loss, 0.9 * fitted);
  }
}

TEST(Prune, ZerosStayAndNothingElseGoes) {
  std::vector<float> w = random_matrix(24 * kColumns, 10);
  for (size_t i = 0; i < w.size(); i += 3) w[i] = 0;
  const RoundingProblem p = make_problem(moments_of(24, 1, 11), w, {});
  ThreadPool pool(1);
  const PrunePattern pattern{.sparsity = 0};
  const HeavyShape shape = matrix_shape(24, kColumns);
  for (const auto& keep :
       {keep_by_magnitude(w, kColumns, pattern, shape), keep_by_loss(p, w, pattern, shape, pool)})
    for (size_t i = 0; i < w.size(); ++i) EXPECT_EQ(keep[i], w[i] != 0 ? 1 : 0) << i;
}

TEST(Prune, SameForAnyNumberOfThreads) {
  const RoundingProblem p = make_problem(moments_of(140, 1, 12), random_matrix(140 * 70, 13), {});
  ThreadPool one(1), three(3);
  const HeavyShape shape = matrix_shape(140, 70);
  const std::vector<uint8_t> keep = keep_by_loss(p, p.target, {}, shape, one);
  EXPECT_EQ(keep, keep_by_loss(p, p.target, {}, shape, three));
  EXPECT_EQ(fit_kept(p, keep, one), fit_kept(p, keep, three));
}

/// Codes of groups with zero points: a pruned weight is its group's zero point, whatever is fitted.
TEST(Gptq, LeavesZerosWhereTheyAre) {
  RoundingProblem p = make_problem(moments_of(24, 1, 14), random_matrix(24 * kColumns, 15), {});
  ThreadPool pool(2);
  const std::vector<uint8_t> keep =
      keep_by_loss(p, p.target, {.n = 2, .m = 4}, matrix_shape(24, kColumns), pool);
  for (const uint8_t k : keep) p.zero.push_back(k == 0 ? 1 : 0);
  WeightGrid grid;
  grid.low = 0, grid.high = 15, grid.begin = {0, 8, 16, 24};
  grid.fit = [](std::span<const float> run, std::span<const float> importance, int64_t) {
    return fit_weighted(run, importance, {.bits = 4, .group_size = 8}, false);
  };
  grid.storable = [](float scale, int64_t, int) { return scale; };
  GridWeights w = gptq(p, grid, {}, pool);
  const double before = error_of(p, values_of(p, grid, w));
  refine_codes(p, grid, {}, w, pool);
  const std::vector<float> values = values_of(p, grid, w);
  EXPECT_LE(error_of(p, values), before * (1 + 1e-5));
  int64_t others = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (keep[i] == 0) {
      EXPECT_EQ(values[i], 0.0F) << i;
    }
    others += values[i] != 0 ? 1 : 0;
  }
  EXPECT_GT(others, 24 * kColumns / 4);
  const double best = error_of(p, fit_kept(p, keep, pool));
  EXPECT_GE(error_of(p, values), best * (1 - 1e-4));
  EXPECT_LT(error_of(p, values), 1.2 * best);
}

}  // namespace
}  // namespace narrow::quant
