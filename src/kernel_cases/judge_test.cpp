#include "kernel_cases/judge.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/lanes/element.h"

namespace narrow::kernel_cases {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

/// Is `got`, stored in the format, right for a result of `real` that may be off by `bound`?
bool accepts(const kernels::Format& format, float real, float bound, float got) {
  Output o{.name = "dst", .format = format, .extents = {1}};
  o.want.resize(4);
  o.real = {real}, o.bounds = {{bound}};
  kernels::store_real(format, o.want.data(), 0, real);
  alignas(4) uint8_t stored[4] = {};
  kernels::store_real(format, stored, 0, got);
  return !first_mismatch(o, stored, 0).has_value();
}

TEST(Judge, FloatsMayLieAnywhereWithinTheirBound) {
  const kernels::Format f32{DType::f32, {}};
  EXPECT_TRUE(accepts(f32, 1, 1e-3F, 1.0009F));
  EXPECT_FALSE(accepts(f32, 1, 1e-3F, 1.0011F));
  EXPECT_TRUE(accepts(f32, 1, 0, 1));
  EXPECT_FALSE(accepts(f32, 1, 0, std::nextafter(1.0F, 2.0F)));
}

TEST(Judge, NarrowFloatsGetOneRoundingAndNoMore) {
  const kernels::Format bf16{DType::bf16, {}};           // neighbours of 1 are 2^-7 above and 2^-8 below
  EXPECT_TRUE(accepts(bf16, 1 + 0x1p-8F, 0x1p-20F, 1));  // on the edge between two
  EXPECT_TRUE(accepts(bf16, 1 + 0x1p-8F, 0x1p-20F, 1 + 0x1p-7F));
  EXPECT_FALSE(accepts(bf16, 1 + 0x1p-9F, 0x1p-20F, 1 + 0x1p-7F));
}

TEST(Judge, BytesMayDifferOnlyAcrossAnEdge) {
  const kernels::Format u8{DType::u8, {0.5F, 10}};
  EXPECT_TRUE(accepts(u8, 1.2499F, 0.001F, 1.0F));  // 2.4998 steps: 12, or 13 beyond the edge at 2.5
  EXPECT_TRUE(accepts(u8, 1.2499F, 0.001F, 1.5F));
  EXPECT_FALSE(accepts(u8, 1.2499F, 0.001F, 2.0F));
  EXPECT_FALSE(accepts(u8, 1.1F, 0.001F, 1.5F));  // far from every edge: equal
  EXPECT_TRUE(accepts(u8, 1000, 1, 122.5F));      // saturated
}

TEST(Judge, InfinitiesAndNaNsHaveToBeWhatTheyAre) {
  const kernels::Format f32{DType::f32, {}}, f16{DType::f16, {}};
  EXPECT_TRUE(accepts(f32, kNan, 1, kNan));
  EXPECT_FALSE(accepts(f32, kNan, 1, 0));
  EXPECT_FALSE(accepts(f32, 0, 1, kNan));
  EXPECT_TRUE(accepts(f32, -kInf, kNan, -kInf));
  EXPECT_FALSE(accepts(f32, -kInf, kNan, kInf));
  EXPECT_TRUE(accepts(f16, 65519, 2, kInf));  // 65520 rounds to infinity
  EXPECT_FALSE(accepts(f16, 65000, 2, kInf));
}

TEST(Judge, AScaleWithoutAnInverseLeavesBytesOpenUnlessTheyAreExact) {
  const kernels::Format s8{DType::s8, {1e-45F, 0}};
  EXPECT_TRUE(accepts(s8, 0, 1e-6F, 1));
  EXPECT_TRUE(accepts(s8, 0, 1e-6F, -1));
}

TEST(Judge, NamesTheElementByItsPlace) {
  Output o{.name = "dst", .format = {DType::s8, {}}, .extents = {2, 3, 4}};
  o.want.assign(24, 1);
  Bytes got = o.want;
  got[17] = 0xff;
  const auto mismatch = first_difference(o, o.want.data(), got.data());
  ASSERT_TRUE(mismatch.has_value());
  EXPECT_EQ(mismatch->where + " " + mismatch->expected + " " + mismatch->got, "dst[1,1,1] 1 -1");
}

}  // namespace
}  // namespace narrow::kernel_cases
