#include "kernels/requantize.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

namespace narrow::kernels {
namespace {

TEST(RequantizeFactor, IsNearAndHasRoomForTwoBitsMore) {
  std::mt19937 random(1);
  std::uniform_real_distribution<double> exponent(-60, 60);
  for (int i = 0; i < 100'000; ++i) {
    const double wanted = std::exp2(exponent(random));
    const float factor = requantize_factor(wanted);
    EXPECT_NEAR(factor, wanted, 0x1.4p-22 * wanted);
    EXPECT_EQ(std::bit_cast<uint32_t>(factor) & 3U, 0U);
    EXPECT_EQ(static_cast<double>(0x1.8p23F * factor), 0x1.8p23 * static_cast<double>(factor));
  }
  for (const double exact : {0.0, 1.0, 0.5, 0.25, 3.0, 0x1p-140})
    EXPECT_EQ(static_cast<double>(requantize_factor(exact)), exact);
  EXPECT_TRUE(std::isinf(requantize_factor(1e300)));
  EXPECT_TRUE(std::isnan(requantize_factor(std::nan(""))));
}

TEST(RequantizeFactor, SumsOnAFloatNeedNoConversion) {
  std::mt19937 random(2);
  std::uniform_int_distribution<int32_t> sums(-kMostOnFloat + 1, kMostOnFloat - 1);
  std::uniform_real_distribution<double> exponent(-40, 10);
  const auto check = [](int32_t sum, float factor) {
    const float on_float = std::bit_cast<float>(kSumsOnFloat + sum);
    const float got = std::fma(on_float, factor, -0x1.8p23F * factor),
                want = static_cast<float>(sum) * factor;
    EXPECT_EQ(got, want) << sum << " * " << factor;
  };
  for (int i = 0; i < 1'000'000; ++i) check(sums(random), requantize_factor(std::exp2(exponent(random))));
  for (const int32_t sum :
       {0, 1, -1, static_cast<int32_t>(kMostOnFloat) - 1, 1 - static_cast<int32_t>(kMostOnFloat)})
    check(sum, requantize_factor(1.0 / 3));
}

}  // namespace
}  // namespace narrow::kernels
