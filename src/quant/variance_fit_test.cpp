#include "quant/variance_fit.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace narrow::quant {
namespace {

struct Rows {
  int64_t rows = 200, k = 5, n = 3;
  std::vector<double> x, z, w, v, r;  // [rows, k] twice, [k, n] twice, [rows, n]
};

Rows random_rows() {
  Random random(17);
  Rows s;
  for (int64_t i = 0; i < s.rows * s.k; ++i) {
    s.x.push_back(random.normal() + 0.5);
    s.z.push_back(s.x.back() + 0.2 * random.normal() + 0.1);
  }
  for (int64_t i = 0; i < s.k * s.n; ++i) {
    s.w.push_back(static_cast<float>(random.normal()));
    s.v.push_back(static_cast<float>(s.w.back() * 0.9 + 0.1 * random.normal()));
  }
  for (int64_t i = 0; i < s.rows * s.n; ++i) s.r.push_back(0.3 * random.normal() + 0.2);
  return s;
}

Moments moments_of(const Rows& s) {
  Moments m{.k = s.k,
            .n = s.n,
            .rows = s.rows,
            .quantized = {},
            .cross = {},
            .mean_quantized = {},
            .mean = {},
            .residual = {},
            .mean_residual = {}};
  m.quantized.assign(static_cast<size_t>(s.k * s.k), 0), m.cross = m.quantized;
  m.mean.assign(static_cast<size_t>(s.k), 0), m.mean_quantized = m.mean;
  m.residual.assign(static_cast<size_t>(s.k * s.n), 0), m.mean_residual.assign(static_cast<size_t>(s.n), 0);
  const auto at = [](const std::vector<double>& list, int64_t i) { return list[static_cast<size_t>(i)]; };
  for (int64_t row = 0; row < s.rows; ++row) {
    for (int64_t i = 0; i < s.k; ++i) {
      const double z = at(s.z, row * s.k + i);
      m.mean_quantized[static_cast<size_t>(i)] += z / static_cast<double>(s.rows);
      m.mean[static_cast<size_t>(i)] += at(s.x, row * s.k + i) / static_cast<double>(s.rows);
      for (int64_t j = 0; j < s.k; ++j) {
        m.quantized[static_cast<size_t>(i * s.k + j)] += z * at(s.z, row * s.k + j);
        m.cross[static_cast<size_t>(i * s.k + j)] += z * at(s.x, row * s.k + j);
      }
      for (int64_t c = 0; c < s.n; ++c)
        m.residual[static_cast<size_t>(i * s.n + c)] += z * at(s.r, row * s.n + c);
    }
    for (int64_t c = 0; c < s.n; ++c)
      m.mean_residual[static_cast<size_t>(c)] += at(s.r, row * s.n + c) / static_cast<double>(s.rows);
  }
  return m;
}

/// E[z y] / E[z z] of one channel from the results themselves.
double factor_by_rows(const Rows& s, int64_t c, bool centred) {
  std::vector<double> y, z;
  double mean_y = 0, mean_z = 0;
  for (int64_t row = 0; row < s.rows; ++row) {
    double a = s.r[static_cast<size_t>(row * s.n + c)], b = 0;
    for (int64_t i = 0; i < s.k; ++i) {
      a += s.w[static_cast<size_t>(i * s.n + c)] * s.x[static_cast<size_t>(row * s.k + i)];
      b += s.v[static_cast<size_t>(i * s.n + c)] * s.z[static_cast<size_t>(row * s.k + i)];
    }
    y.push_back(a), z.push_back(b);
    mean_y += a / static_cast<double>(s.rows), mean_z += b / static_cast<double>(s.rows);
  }
  double zz = 0, zy = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    const double a = y[i] - (centred ? mean_y : 0), b = z[i] - (centred ? mean_z : 0);
    zz += b * b, zy += b * a;
  }
  return zy / zz;
}

TEST(VarianceFactors, AreTheLeastSquaresOfResults) {
  const Rows s = random_rows();
  const std::vector<float> w(s.w.begin(), s.w.end()), v(s.v.begin(), s.v.end());
  for (const bool centred : {false, true}) {
    const std::vector<float> factors = variance_factors(moments_of(s), w, v, centred);
    ASSERT_EQ(factors.size(), 3U);
    for (int64_t c = 0; c < s.n; ++c)
      // double sums of 200 rows, then one float
      EXPECT_NEAR(factors[static_cast<size_t>(c)], factor_by_rows(s, c, centred), 2e-7 * 2) << c << centred;
  }
}

TEST(VarianceFactors, AreOneWhereNothingCanBeSaid) {
  const Rows s = random_rows();
  const std::vector<float> w(s.w.begin(), s.w.end()), nothing(w.size(), 0);
  EXPECT_EQ(variance_factors(moments_of(s), w, nothing, true), std::vector<float>(3, 1));
  std::vector<float> tenth = w;
  for (float& v : tenth) v *= 0.1F;  // would need a factor of ten: not a matter of rounding
  EXPECT_EQ(variance_factors(moments_of(s), w, tenth, true), std::vector<float>(3, 1));
}

}  // namespace
}  // namespace narrow::quant
