// The scale of three codes against every choice of codes.
#include "quant/three_codes.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "base/random.h"

namespace narrow::quant {
namespace {

constexpr size_t kCount = 8;
using Numbers = std::array<float, kCount>;

double error_of(const Numbers& x, const Numbers& h, double scale) {
  double sum = 0;
  for (size_t i = 0; i < kCount; ++i) {
    const double size = std::fabs(static_cast<double>(x[i]));
    sum += static_cast<double>(h[i]) * std::pow(std::min(size, std::fabs(size - scale)), 2);
  }
  return sum;
}

/// Of all 2^8 sets that become +-1, each with its scale of least squares.
double least_error(const Numbers& x, const Numbers& h) {
  double least = error_of(x, h, 0);
  for (unsigned set = 1; set < 1U << kCount; ++set) {
    double product = 0, weight = 0, error = 0;
    for (size_t i = 0; i < kCount; ++i)
      if ((set >> i & 1U) != 0)
        product += static_cast<double>(h[i]) * std::fabs(static_cast<double>(x[i])),
            weight += static_cast<double>(h[i]);
    for (size_t i = 0; i < kCount; ++i) {
      const double q = (set >> i & 1U) != 0 ? product / weight : 0;
      error += static_cast<double>(h[i]) * std::pow(std::fabs(static_cast<double>(x[i])) - q, 2);
    }
    least = std::min(least, error);
  }
  return least;
}

TEST(ThreeCodes, NoSetOfCodesIsBetter) {
  Random random(3);
  for (int round = 0; round < 50; ++round) {
    Numbers x{}, h{}, even{};
    even.fill(1);
    for (size_t i = 0; i < kCount; ++i) {
      x[i] = static_cast<float>(random.normal());
      h[i] = random.uniform(0, 1) < 0.3 ? 50.0F : 1.0F;
    }
    EXPECT_NEAR(error_of(x, h, static_cast<double>(scale_of_three_codes(x, h))), least_error(x, h), 1e-4);
    EXPECT_NEAR(error_of(x, even, static_cast<double>(scale_of_three_codes(x))), least_error(x, even), 1e-5);
  }
}

TEST(ThreeCodes, NothingHasNoScale) {
  EXPECT_EQ(scale_of_three_codes(Numbers{}), 0);
  EXPECT_EQ(scale_of_three_codes(Numbers{1, 2}, Numbers{}), 0);
}

}  // namespace
}  // namespace narrow::quant
