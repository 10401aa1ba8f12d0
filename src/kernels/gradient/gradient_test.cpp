// Each function of each instruction set against the formula in double.
#include "kernels/gradient/gradient.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"
#include "kernels/test_isas.h"

namespace narrow::kernels {
namespace {

constexpr double kEps = std::numeric_limits<float>::epsilon();

std::vector<float> normals(int64_t n, uint64_t seed, double deviation = 1) {
  Random random(seed);
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) v = static_cast<float>(deviation * random.normal());
  return x;
}

class Gradient : public testing::TestWithParam<Isa> {};

TEST_P(Gradient, ColumnProductsEqualSumsInDouble) {
  for (const int64_t channels : {1, 7, 8, 16, 17, 33, 48, 64, 100, 129})
    for (const int64_t n : {1, 5, 40}) {
      const int64_t x_stride = 2 * channels + 3, y_stride = channels;
      const auto x = normals(n * x_stride, 1), y = normals(n * y_stride, 2);
      auto sums = normals(channels + 1, 3);
      const auto before = sums;
      column_products({x.data(), x_stride, y.data(), y_stride, n, channels, sums.data()}, GetParam());
      for (int64_t c = 0; c < channels; ++c) {
        double sum = before[static_cast<size_t>(c)], mass = std::fabs(sum);
        for (int64_t i = 0; i < n; ++i) {
          const double product = static_cast<double>(x[static_cast<size_t>(i * x_stride + c)]) *
                                 static_cast<double>(y[static_cast<size_t>(i * y_stride + c)]);
          sum += product, mass += std::fabs(product);
        }
        ASSERT_NEAR(sums[static_cast<size_t>(c)], sum, static_cast<double>(n + 1) * kEps * mass)
            << channels << " channels, " << n << " rows, channel " << c;
      }
      EXPECT_EQ(sums.back(), before.back()) << "written past the end";
    }
}

TEST_P(Gradient, BoundsIncludeTheirEnds) {
  constexpr float kInf = std::numeric_limits<float>::infinity(),
                  kNan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> x = {-1, -0.5F, -0.49F, 0, 2, 2.1F, kInf, -kInf, kNan};
  while (x.size() < 37) x.push_back(x[x.size() - 9]);
  std::vector<float> dy(x.size()), dx(x.size() + 1, 77);
  for (size_t i = 0; i < x.size(); ++i) dy[i] = static_cast<float>(i) + 1;
  bounded_gradient({x.data(), dy.data(), dx.data(), static_cast<int64_t>(x.size()), -0.5F, 2}, GetParam());
  for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(dx[i], x[i] >= -0.5F && x[i] <= 2 ? dy[i] : 0) << i;
  EXPECT_EQ(dx.back(), 77);
}

TEST_P(Gradient, SquaredErrorAndItsGradient) {
  for (const int64_t n : {1, 15, 16, 100, 5000, 9001})
    for (const bool weighted : {false, true}) {
      const auto a = normals(n, 4), b = normals(n, 5), w = normals(n, 6);
      std::vector<float> d(static_cast<size_t>(n));
      const double got =
          squared_error({a.data(), b.data(), weighted ? w.data() : nullptr, d.data(), n, 0.5F}, GetParam());
      double sum = 0, mass = 0;
      for (size_t i = 0; i < d.size(); ++i) {
        const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
        const double weight = weighted ? w[i] : 1;
        sum += weight * difference * difference, mass += std::fabs(weight) * difference * difference;
        ASSERT_NEAR(d[i], 0.5 * weight * difference,
                    3 * kEps * std::fabs(weight) * (std::fabs(a[i]) + std::fabs(b[i])));
      }
      // Differences are off by one rounding, their products by two more; 4096 / 8 sums in a lane.
      EXPECT_NEAR(got, sum, (512 + 8) * kEps * mass);
      EXPECT_EQ(got, squared_error({a.data(), b.data(), weighted ? w.data() : nullptr, nullptr, n, 0.5F},
                                   GetParam()));
    }
}

/// One weight of a step, in double.
struct Weight {
  double v, mean, square, weight;
};

double share(double v) { return std::clamp(1.2 / (1 + std::exp(-v)) - 0.1, 0.0, 1.0); }

Weight stepped(const RoundingStep& s, size_t i, double v, double mean, double square) {
  const double sigmoid = 1 / (1 + std::exp(-v)), stretched = 1.2 * sigmoid - 0.1;
  const double slope = stretched > 0 && stretched < 1 ? 1.2 * sigmoid * (1 - sigmoid) : 0,
               t = 2 * share(v) - 1;
  const double pull = s.pressure * 2 * s.sharpness * std::pow(std::fabs(t), s.sharpness - 1);
  const double g = (static_cast<double>(s.gradient[i]) * s.scale[i] - std::copysign(pull, t)) * slope;
  mean = 0.9 * mean + 0.1 * g, square = 0.999 * square + 0.001 * g * g;
  v -= s.rate * mean / (std::sqrt(square * s.square_scale) + 1e-8);
  return {v, mean, square, s.scale[i] * (s.code[i] + share(v))};
}

TEST_P(Gradient, RoundingStepIsAdamOnTheStretchedSigmoid) {
  constexpr int64_t kCount = 53;
  for (const int sharpness : {2, 3, 7, 20})
    for (const float pressure : {0.0F, 0.3F}) {
      std::vector<float> code(kCount), scale(kCount), weights(kCount + 1, 77);
      const auto gradient = normals(kCount, 8, 10);
      auto v = normals(kCount, 9, 1.5), mean = normals(kCount, 10, 0.1), square = normals(kCount, 11, 0.1);
      for (size_t i = 0; i < code.size(); ++i) {
        code[i] = static_cast<float>(static_cast<int>(i % 15) - 8),
        scale[i] = 0.01F * static_cast<float>(i + 1);
        square[i] = square[i] * square[i] + 1e-3F;
      }
      const auto v0 = v, mean0 = mean, square0 = square;
      const RoundingStep step{code.data(), scale.data(),  gradient.data(), v.data(),
                              mean.data(), square.data(), weights.data(),  kCount,
                              0.02F,       1.5F,          pressure,        sharpness};
      rounding_step(step, GetParam());
      for (size_t i = 0; i < code.size(); ++i) {
        const Weight want = stepped(step, i, v0[i], mean0[i], square0[i]);
        // The sigmoid is 3 ulp off (kernels/math/vmath.h), its power sharpness times as much; some 20
        // roundings.
        const double relative = (20 + 4 * sharpness) * kEps;
        const double g = std::fabs(gradient[i] * scale[i]) + pressure * 2 * sharpness;
        ASSERT_NEAR(mean[i], want.mean, relative * (std::fabs(mean0[i]) + 0.1 * g)) << i;
        ASSERT_NEAR(square[i], want.square, relative * (square0[i] + 0.002 * g * g)) << i;
        ASSERT_NEAR(v[i], want.v,
                    kEps * std::fabs(v0[i]) +
                        relative * 0.02 * (std::fabs(mean0[i]) + 0.1 * g) / std::sqrt(want.square))
            << i;
        ASSERT_NEAR(weights[i], want.weight,
                    20 * kEps * scale[i] * (std::fabs(code[i]) + 1) + scale[i] * std::fabs(v[i] - want.v))
            << i;
      }
      EXPECT_EQ(weights.back(), 77);
    }
}

TEST_P(Gradient, ARateOfZeroOnlyWritesTheWeights) {
  std::vector<float> code = {-8, 0, 3}, scale = {1, 2, 0.5F}, v = {-9, 0, 9}, none(3, 5), weights(3);
  rounding_step({code.data(), scale.data(), none.data(), v.data(), none.data(), none.data(), weights.data(),
                 3, 0, 1, 1, 2},
                GetParam());
  EXPECT_EQ(v, (std::vector<float>{-9, 0, 9}));
  EXPECT_EQ(none, (std::vector<float>(3, 5)));
  EXPECT_EQ(weights[0], -8);
  EXPECT_FLOAT_EQ(weights[1], 1);
  EXPECT_EQ(weights[2], 2);
  EXPECT_EQ(rounding_share(-9), 0);
  EXPECT_FLOAT_EQ(rounding_share(0), 0.5F);
  EXPECT_EQ(rounding_share(9), 1);
}

INSTANTIATE_TEST_SUITE_P(All, Gradient, testing::ValuesIn(usable_isas()),
                         [](const auto& test) { return std::string(to_string(test.param)); });

}  // namespace
}  // namespace narrow::kernels
