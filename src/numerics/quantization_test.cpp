#include "numerics/quantization.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/random.h"

namespace narrow {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity(), kNaN = std::numeric_limits<float>::quiet_NaN();

TEST(Quantize, HandWorkedCases) {
  struct Case {
    float x, scale;
    int32_t zero_point;
    IntegerRange range;
    int32_t q;
  };
  for (const Case& c :
       {Case{0.5F, 1, 0, kRangeU8, 0}, Case{1.5F, 1, 0, kRangeU8, 2}, Case{2.5F, 1, 0, kRangeU8, 2},
        Case{-0.5F, 1, 0, kRangeS8, 0}, Case{-1.5F, 1, 0, kRangeS8, -2}, Case{-2.5F, 1, 3, kRangeS8, 1},
        Case{300, 1, 0, kRangeU8, 255}, Case{-1, 1, 0, kRangeU8, 0}, Case{-200, 1, 0, kRangeS8, -128},
        Case{127.49F, 1, 0, kRangeS8, 127}, Case{kInf, 1, 0, kRangeU8, 255}, Case{-kInf, 1, 128, kRangeU8, 0},
        Case{kNaN, 1, 7, kRangeU8, 0}, Case{1e38F, 1e-38F, 0, kRangeS8, 127},
        Case{0, 0.1F, 200, kRangeU8, 200}, Case{0.25F, 0.1F, 10, kRangeU8, 12}})
    EXPECT_EQ(quantize(c.x, c.scale, c.zero_point, c.range), c.q)
        << c.x << " / " << c.scale << " + " << c.zero_point;
}

TEST(Quantize, EveryCodeRoundTrips) {
  for (const IntegerRange range : {kRangeU8, kRangeS8})
    for (const float scale : {1.0F, 0.1F, 3.7e-5F, 123.456F})
      for (int32_t zero = range.low; zero <= range.high; zero += 15)
        for (int32_t q = range.low; q <= range.high; ++q)
          ASSERT_EQ(quantize(dequantize(q, scale, zero), scale, zero, range), q) << scale << " " << zero;
}

/// Every x of the range comes back within half a step (and what scale and product round off), zero exactly.
TEST(AffineFromRange, HalfAStepEverywhereAndZeroExact) {
  Random random(3);
  for (int i = 0; i < 20000; ++i) {
    const double size = std::exp2(random.uniform(-100, 100));
    float low = static_cast<float>(random.uniform(-1, 1) * size),
          high = static_cast<float>(random.uniform(-1, 1) * size);
    if (low > high) std::swap(low, high);
    for (const IntegerRange range : {kRangeU8, kRangeS8}) {
      const AffineParameters p = affine_from_range(low, high, range);
      ASSERT_GT(p.scale, 0);
      ASSERT_GE(p.zero_point, range.low);
      ASSERT_LE(p.zero_point, range.high);
      ASSERT_EQ(dequantize(quantize(0, p.scale, p.zero_point, range), p.scale, p.zero_point), 0);
      for (const double share : {0.0, random.uniform(), 1.0}) {
        const auto x = static_cast<float>(low + share * (static_cast<double>(high) - low));
        const double back = dequantize(quantize(x, p.scale, p.zero_point, range), p.scale, p.zero_point);
        // 255 steps, scale and quotient each within 2^-24 of exact: 0.5 + 255 * 2^-22 steps.
        ASSERT_LE(std::fabs(back - x), (0.5 + 255 * 0x1p-22) * p.scale) << low << " " << high << " " << x;
      }
    }
  }
}

TEST(AffineFromRange, Edges) {
  for (const IntegerRange range : {kRangeU8, kRangeS8})
    for (const auto& [low, high] : {std::pair{0.0F, 0.0F}, {-0.0F, 0.0F}, {1e-45F, 2e-45F}, {kNaN, kNaN}}) {
      const AffineParameters p = affine_from_range(low, high, range);
      EXPECT_EQ(p.scale, 1);
      EXPECT_EQ(p.zero_point, 0);
    }
  // Ranges on one side of zero are widened to it.
  EXPECT_EQ(affine_from_range(1, 255, kRangeU8).scale, 1);
  EXPECT_EQ(affine_from_range(1, 255, kRangeU8).zero_point, 0);
  EXPECT_EQ(affine_from_range(-255, -1, kRangeU8).zero_point, 255);
  EXPECT_EQ(affine_from_range(-255, -1, kRangeS8).zero_point, 127);
  constexpr float kMax = std::numeric_limits<float>::max();
  const AffineParameters whole = affine_from_range(-kMax, kMax, kRangeU8);
  EXPECT_TRUE(std::isfinite(whole.scale));
  EXPECT_TRUE(std::isfinite(1 / affine_from_range(0, 1e-35F, kRangeU8).scale));
}

TEST(SymmetricFromMagnitude, UsesTheWholeRange) {
  EXPECT_EQ(symmetric_from_magnitude(127, kRangeS8).scale, 1);
  EXPECT_EQ(symmetric_from_magnitude(-127, kRangeS8).scale, 1);
  EXPECT_EQ(symmetric_from_magnitude(0, kRangeS8).scale, 1);
  Random random(5);
  for (int i = 0; i < 2000; ++i) {
    const auto m = static_cast<float>(std::exp2(random.uniform(-60, 60)));
    const AffineParameters p = symmetric_from_magnitude(m, kRangeS8);
    EXPECT_EQ(p.zero_point, 0);
    EXPECT_EQ(quantize(m, p.scale, 0, kRangeS8), 127);
    EXPECT_EQ(quantize(-m, p.scale, 0, kRangeS8), -127);
  }
}

}  // namespace
}  // namespace narrow
