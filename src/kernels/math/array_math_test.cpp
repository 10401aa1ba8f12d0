#include "kernels/math/array_math.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/cpu.h"

namespace narrow::kernels {
namespace {

using ArrayFunction = void (*)(const float*, float*, int64_t);
using Activate = void (*)(const Activation&, const float*, float*, int64_t);

struct Functions {
  Isa isa;
  ArrayFunction exp, expm1, erf;
  Activate activate;
};

constexpr Functions kFunctions[] = {{Isa::avx2, exp_avx2, expm1_avx2, erf_avx2, activate_avx2},
                                    {Isa::avx512, exp_avx512, expm1_avx512, erf_avx512, activate_avx512}};

/// Every `step`-th float from low to high by bit pattern (dense near zero), both signs where the range has
/// them.
std::vector<float> floats_between(float low, float high) {
  std::vector<float> x;
  for (uint32_t bits = 0; bits < 0x7f800000U; bits += 4099) {
    const auto positive = std::bit_cast<float>(bits);
    if (positive >= low && positive <= high) x.push_back(positive);
    if (-positive >= low && -positive <= high) x.push_back(-positive);
  }
  for (int i = 0; i <= 200000; ++i) x.push_back(low + (high - low) * static_cast<float>(i) / 200000.0F);
  return x;
}

double ulp(double exact) {
  const auto f = static_cast<float>(std::abs(exact));
  if (f < std::numeric_limits<float>::min()) return std::ldexp(1.0, -149);
  return std::ldexp(1.0, std::ilogb(f) - 23);
}

class ArrayMath : public testing::TestWithParam<Functions> {
 protected:
  void SetUp() override {
    if (!runs_here(GetParam().isa)) GTEST_SKIP() << to_string(GetParam().isa) << " is not available";
  }

  /// |f(x) - exact(x)| <= max(ulps * ulp(exact), absolute(x)).
  template <class F, class Exact, class Absolute>
  void check(float low, float high, F&& f, Exact&& exact, double ulps, Absolute&& absolute) {
    const std::vector<float> x = floats_between(low, high);
    std::vector<float> y(x.size());
    f(x.data(), y.data(), static_cast<int64_t>(x.size()));
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double want = exact(static_cast<double>(x[i])), error = std::abs(y[i] - want);
      worst = std::max(worst, error / ulp(want));
      ASSERT_LE(error, std::max(ulps * ulp(want), static_cast<double>(absolute(x[i]))))
          << "x = " << x[i] << " got " << y[i] << " want " << want << " ulps " << error / ulp(want);
    }
    RecordProperty("worst_ulp", std::to_string(worst));
  }

  auto activation(Act kind, float alpha = 0, float beta = 0) {
    return [activate = GetParam().activate, kind, alpha, beta](const float* x, float* y, int64_t n) {
      activate({kind, alpha, beta}, x, y, n);
    };
  }
};

const auto kNoSlack = [](float) { return 0.0; };

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

TEST_P(ArrayMath, Exp) {
  check(
      -87.3F, 88.7F, GetParam().exp, [](double x) { return std::exp(x); }, 1, kNoSlack);
  check(
      -104, -87.3F, GetParam().exp, [](double x) { return std::exp(x); }, 1, kNoSlack);
}

TEST_P(ArrayMath, ExpBeyondTheRange) {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {89, 1e30F, inf, -104.5F, -1e30F, -inf, 0, std::nanf("")};
  std::vector<float> y(x.size());
  GetParam().exp(x.data(), y.data(), static_cast<int64_t>(x.size()));
  EXPECT_EQ((std::vector<float>{y.begin(), y.begin() + 7}), (std::vector<float>{inf, inf, inf, 0, 0, 0, 1}));
  EXPECT_TRUE(std::isnan(y[7]));
}

TEST_P(ArrayMath, Expm1) {
  check(
      -100, 88.7F, GetParam().expm1, [](double x) { return std::expm1(x); }, 2, kNoSlack);
}

TEST_P(ArrayMath, Erf) {
  check(
      -1e30F, 1e30F, GetParam().erf, [](double x) { return std::erf(x); }, 0, [](float) { return 1.5e-7; });
  check(
      -6, 6, GetParam().erf, [](double x) { return std::erf(x); }, 0, [](float) { return 1.5e-7; });
}

TEST_P(ArrayMath, Tanh) {
  check(
      -1e30F, 1e30F, activation(Act::tanh), [](double x) { return std::tanh(x); }, 3, kNoSlack);
  check(
      -10, 10, activation(Act::tanh), [](double x) { return std::tanh(x); }, 3, kNoSlack);
}

TEST_P(ArrayMath, Sigmoid) {
  check(-87, 200, activation(Act::sigmoid), sigmoid, 3, kNoSlack);
  check(-1e30F, -87, activation(Act::sigmoid), sigmoid, 0, [](float) { return 0x1p-125; });
}

TEST_P(ArrayMath, Silu) {
  check(
      -87, 1e30F, activation(Act::silu), [](double x) { return x * sigmoid(x); }, 3, kNoSlack);
}

TEST_P(ArrayMath, Gelu) {
  const auto slack = [](float x) { return 1.5e-7 * std::max(1.0F, std::abs(x)); };
  const auto exact = [](double x) { return 0.5 * x * (1 + std::erf(x * std::sqrt(0.5))); };
  check(-1e5F, 1e5F, activation(Act::gelu), exact, 0, slack);
  check(-8, 8, activation(Act::gelu), exact, 0, slack);
}

TEST_P(ArrayMath, GeluTanh) {
  const auto slack = [](float x) { return 1.5e-7 * std::max(1.0F, std::abs(x)); };
  const auto exact = [](double x) {
    return 0.5 * x * (1 + std::tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
  };
  check(-1e5F, 1e5F, activation(Act::gelu_tanh), exact, 0, slack);
  check(-8, 8, activation(Act::gelu_tanh), exact, 0, slack);
}

TEST_P(ArrayMath, Mish) {
  const auto exact = [](double x) { return x * std::tanh(std::log1p(std::exp(x))); };
  check(-87, 1e30F, activation(Act::mish), exact, 4, kNoSlack);
}

TEST_P(ArrayMath, Elu) {
  const auto exact = [](double x) { return x >= 0 ? x : 0.75 * std::expm1(x); };
  check(-1e30F, 1e30F, activation(Act::elu, 0.75F), exact, 2, kNoSlack);
}

TEST_P(ArrayMath, PiecewiseLinearOnesEqualApply) {
  std::vector<float> x = floats_between(-10, 10);
  const float inf = std::numeric_limits<float>::infinity();
  x.insert(x.end(), {inf, -inf, 0.0F, -0.0F, std::nanf("")});
  std::vector<float> y(x.size());
  for (const Activation a : {Activation{}, Activation{Act::relu}, Activation{Act::clip, 0, 6},
                             Activation{Act::clip, -0.5F, inf}, Activation{Act::leaky_relu, 0.01F},
                             Activation{Act::hard_sigmoid, 0.2F, 0.5F}, Activation{Act::hard_swish}}) {
    GetParam().activate(a, x.data(), y.data(), static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < x.size(); ++i) {
      const float want = apply(a, x[i]);
      if (std::isnan(want))
        ASSERT_TRUE(std::isnan(y[i])) << to_string(a.kind) << " x = " << x[i];
      else
        ASSERT_EQ(std::bit_cast<uint32_t>(y[i]), std::bit_cast<uint32_t>(want))
            << to_string(a.kind) << " x = " << x[i];
    }
  }
}

TEST_P(ArrayMath, TailsLeaveTheRestAlone) {
  const std::vector<float> x(40, 1.0F);
  for (int64_t n = 0; n < 36; ++n) {
    std::vector<float> y(40, -7.0F);
    GetParam().exp(x.data(), y.data(), n);
    for (int64_t i = 0; i < 40; ++i) ASSERT_EQ(y[static_cast<size_t>(i)] == -7.0F, i >= n) << n << " " << i;
  }
}

TEST_P(ArrayMath, NanStaysNan) {
  for (const Act kind :
       {Act::sigmoid, Act::tanh, Act::silu, Act::gelu, Act::gelu_tanh, Act::elu, Act::mish}) {
    float x = std::nanf(""), y = 0;
    GetParam().activate({kind, 1.0F, 0}, &x, &y, 1);
    EXPECT_TRUE(std::isnan(y)) << to_string(kind);
  }
}

TEST(ArrayMathAcrossIsas, SameBits) {
  if (usable_isa() < Isa::avx512) GTEST_SKIP() << "needs avx512";
  const std::vector<float> x = floats_between(-100, 88);
  std::vector<float> a(x.size()), b(x.size());
  for (const Act kind :
       {Act::sigmoid, Act::tanh, Act::silu, Act::gelu, Act::gelu_tanh, Act::elu, Act::mish}) {
    activate_avx2({kind, 1.0F, 0}, x.data(), a.data(), static_cast<int64_t>(x.size()));
    activate_avx512({kind, 1.0F, 0}, x.data(), b.data(), static_cast<int64_t>(x.size()));
    EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0) << to_string(kind);
  }
}

INSTANTIATE_TEST_SUITE_P(AllIsas, ArrayMath, testing::ValuesIn(kFunctions),
                         [](const auto& instance) { return to_string(instance.param.isa); });

}  // namespace
}  // namespace narrow::kernels
