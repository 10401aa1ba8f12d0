// Integers of at most 4 bits, ternary and binary, and how they are packed: every code, every byte.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <vector>

#include "base/random.h"
#include "numerics/binary.h"
#include "numerics/float_formats.h"
#include "numerics/int2.h"
#include "numerics/int3.h"
#include "numerics/int4.h"
#include "numerics/packing.h"
#include "numerics/rounding.h"
#include "numerics/ternary.h"

namespace narrow {
namespace {

using Bytes = std::vector<uint8_t>;

template <class T>
class SmallInts : public testing::Test {};
using All = testing::Types<int4, uint4, int3, uint3, int2, uint2>;
TYPED_TEST_SUITE(SmallInts, All);

TYPED_TEST(SmallInts, EveryCodeIsAnotherValueAndComesBack) {
  std::set<int> values;
  for (int code = 0; code < 1 << TypeParam::kBits; ++code) {
    const TypeParam v = TypeParam::wrap(code);
    EXPECT_EQ(v.code(), code);
    values.insert(v.bits);
    EXPECT_EQ(TypeParam(static_cast<float>(v)), v);
    for (const int64_t turn : {-3, 1, 1000})
      EXPECT_EQ(TypeParam::wrap(code + turn * (1 << TypeParam::kBits)), v);
  }
  EXPECT_EQ(values.size(), size_t{1} << TypeParam::kBits);
  EXPECT_EQ(*values.begin(), TypeParam::kLow);
  EXPECT_EQ(*values.rbegin(), TypeParam::kHigh);
}

TYPED_TEST(SmallInts, RoundsHalfToEvenAndSaturates) {
  for (int v = TypeParam::kLow; v < TypeParam::kHigh; ++v) {
    const float middle = static_cast<float>(v) + 0.5F;
    EXPECT_EQ(TypeParam(middle).bits, v + (v % 2 != 0 ? 1 : 0));
    EXPECT_EQ(TypeParam(std::nextafterf(middle, -1e9F)).bits, v);
    EXPECT_EQ(TypeParam(std::nextafterf(middle, 1e9F)).bits, v + 1);
  }
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const float x : {1000.0F, 1e30F, kInf}) {
    EXPECT_EQ(TypeParam(x).bits, TypeParam::kHigh);
    EXPECT_EQ(TypeParam(-x).bits, TypeParam::kLow);
  }
  EXPECT_EQ(TypeParam(std::nanf("")).bits, TypeParam::kLow);
}

TEST(PackBits, LiesAsOnnxSays) {
  const auto packed = [](const Bytes& codes, int bits) {
    Bytes out(static_cast<size_t>(packed_bytes(static_cast<int64_t>(codes.size()), bits)), 0xff);
    pack_bits(codes, bits, out);
    return out;
  };
  // onnx.numpy_helper: _pack_4bitx2, _pack_2bitx4, _pack_6bit
  EXPECT_EQ(packed({1, 2, 15}, 4), (Bytes{0x21, 0x0f}));
  EXPECT_EQ(packed({1, 2, 3, 0, 2}, 2), (Bytes{0x39, 0x02}));
  EXPECT_EQ(packed({1, 2, 3, 63, 5}, 6), (Bytes{0x81, 0x30, 0xfc, 0x05}));
  EXPECT_EQ(packed({1, 2, 3, 4, 5, 6, 7, 0}, 3), (Bytes{0xd1, 0x58, 0x1f}));
  EXPECT_EQ(packed({1, 0, 1, 1, 0, 0, 0, 1, 1}, 1), (Bytes{0x8d, 0x01}));
  EXPECT_EQ(packed({0xf3, 0x12}, 4), (Bytes{0x23}));  // only the low bits count
}

TEST(PackBits, EveryWidthAndLengthRoundTrips) {
  Random random(11);
  for (int bits = 1; bits <= 8; ++bits)
    for (size_t n = 0; n < 40; ++n) {
      Bytes codes(n), back(n), packed(static_cast<size_t>(packed_bytes(static_cast<int64_t>(n), bits)));
      for (uint8_t& c : codes) c = static_cast<uint8_t>(random.next() & ((1U << bits) - 1));
      pack_bits(codes, bits, packed);
      unpack_bits(packed, bits, back);
      EXPECT_EQ(back, codes) << bits << " bits, " << n;
    }
  EXPECT_EQ(packed_bytes(int64_t{1} << 62, 4), int64_t{1} << 61);
}

TEST(Ternary, EveryByteAndTail) {
  for (int byte = 0; byte < 243; ++byte) {
    std::vector<ternary> trits(5);
    const Bytes one = {static_cast<uint8_t>(byte)};
    unpack_ternary(one, trits);
    int sum = 0;
    for (size_t i = 5; i-- > 0;) sum = sum * 3 + trits[i].value + 1;
    EXPECT_EQ(sum, byte);
    Bytes packed(1);
    pack_ternary(trits, packed);
    EXPECT_EQ(packed, one);
  }
  for (int byte = 243; byte < 256; ++byte) {  // of a damaged file
    std::vector<ternary> trits(5);
    unpack_ternary(Bytes{static_cast<uint8_t>(byte)}, trits);
    for (const ternary t : trits) EXPECT_LE(std::abs(t.value), 1);
  }
  const std::vector<ternary> six = {ternary(-1), ternary(1), ternary(0), ternary(1), ternary(1), ternary(-1)};
  Bytes packed(2);
  pack_ternary(six, packed);
  EXPECT_EQ(packed, (Bytes{0 + 2 * 3 + 1 * 9 + 2 * 27 + 2 * 81, 0 + 3 + 9 + 27 + 81}));
  std::vector<ternary> back(6);
  unpack_ternary(packed, back);
  EXPECT_EQ(back, six);
}

TEST(Ternary, NearestWithTiesToZero) {
  for (const auto& [x, value] : {std::pair{0.0F, 0},
                                 {0.5F, 0},
                                 {-0.5F, 0},
                                 {0.51F, 1},
                                 {-0.51F, -1},
                                 {9.0F, 1},
                                 {-INFINITY, -1},
                                 {std::nanf(""), 0}})
    EXPECT_EQ(ternary(x).value, value) << x;
}

TEST(Binary, TheSign) {
  for (const auto& [x, value] :
       {std::pair{0.0F, 1.0F}, {3.0F, 1.0F}, {-1e-30F, -1.0F}, {INFINITY, 1.0F}, {std::nanf(""), -1.0F}})
    EXPECT_EQ(static_cast<float>(binary(x)), value) << x;
  for (const uint8_t bit : {0, 1}) EXPECT_EQ(binary(static_cast<float>(binary::from_bits(bit))).bits, bit);
}

TEST(EffectiveBits, CountsScalesAndZeroPoints) {
  EXPECT_EQ(effective_bits(4, 4096, 128, 16), 4.125);
  EXPECT_EQ(effective_bits(4, 4096, 32, 16, 4), 4.625);
  EXPECT_EQ(effective_bits(1.6, 4000, 0, 16), 1.604);
  EXPECT_EQ(effective_bits(4, 100, 32, 16), 4 + 4 * 16 / 100.0);  // the last group is short
}

/// A double whose float is a tie of the narrower format: rounding twice would go to the wrong side.
TEST(RoundToOdd, NarrowingInTwoStepsRoundsOnce) {
  const double above = 1 + 0x1p-11 + 0x1p-40, below = 1 + 0x1p-11 - 0x1p-40;
  EXPECT_EQ(f16(round_to_odd(above)).bits, 0x3c01);
  EXPECT_EQ(f16(round_to_odd(below)).bits, 0x3c00);
  EXPECT_EQ(f16(static_cast<float>(above)).bits, 0x3c00);  // what it guards against
  EXPECT_EQ(bf16(round_to_odd(1 + 0x1p-8 + 0x1p-50)).bits, 0x3f81);
  EXPECT_EQ(f16(round_to_odd(1e300)).bits, 0x7c00);
  EXPECT_EQ(f16(round_to_odd(-5e-324)).bits, 0x8000);
  EXPECT_TRUE(std::isnan(round_to_odd(std::nan(""))));
  EXPECT_EQ(round_to_odd(0.5), 0.5F);
}

}  // namespace
}  // namespace narrow
