#include "numerics/float_formats.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"

namespace narrow {
namespace {

/// A binary float format in double arithmetic, written from the definition and not from the code.
struct Format {
  int exponent_bits, fraction_bits;
  int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  uint32_t infinity() const { return ((1U << exponent_bits) - 1) << fraction_bits; }

  double decode(uint32_t bits) const {
    const double sign = (bits >> 15) != 0 ? -1 : 1;
    const uint32_t magnitude = bits & 0x7fffU;
    if (magnitude > infinity()) return std::numeric_limits<double>::quiet_NaN();
    if (magnitude == infinity()) return sign * std::numeric_limits<double>::infinity();
    const auto exponent = static_cast<int>(magnitude >> fraction_bits);
    const double fraction = std::ldexp(magnitude & ((1U << fraction_bits) - 1), -fraction_bits);
    return sign *
           (exponent == 0 ? std::ldexp(fraction, 1 - bias()) : std::ldexp(1 + fraction, exponent - bias()));
  }
  /// Nearest, ties to even: |x| in units of the last place at its exponent, rounded; a step of the code is a
  /// step of the value, so the integer code follows from exponent and units.
  uint32_t encode(double x) const {
    const uint32_t sign = std::signbit(x) ? 0x8000U : 0;
    x = std::fabs(x);
    if (std::isinf(x)) return sign | infinity();
    const int exponent = x == 0 ? 1 - bias() : std::max(std::ilogb(x), 1 - bias());
    const double units = std::nearbyint(std::ldexp(x, fraction_bits - exponent));  // < 2^(fraction_bits + 1)
    const uint32_t code =
        static_cast<uint32_t>(units) + (static_cast<uint32_t>(exponent + bias() - 1) << fraction_bits);
    return sign | std::min(code, infinity());
  }
};
constexpr Format kHalf{5, 10}, kBrain{8, 7};

template <class T>
void check_encode(const Format& format, float x) {
  ASSERT_EQ(T(x).bits, format.encode(x)) << std::hexfloat << x;
  ASSERT_EQ(T(-x).bits, format.encode(-x)) << std::hexfloat << -x;
}

template <class T>
void walk_every_encoding(const Format& format) {
  double previous = -1;
  for (uint32_t bits = 0; bits <= 0xffffU; ++bits) {
    const auto value = static_cast<float>(T::from_bits(static_cast<uint16_t>(bits)));
    const double expected = format.decode(bits);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(value)) << bits;
      const uint32_t quiet = 1U << (format.fraction_bits - 1);
      ASSERT_EQ(T(value).bits, bits | quiet) << bits;  // a NaN stays one, its payload too
      continue;
    }
    ASSERT_EQ(static_cast<double>(value), expected) << bits;
    ASSERT_EQ(std::signbit(value), (bits >> 15) != 0) << bits;
    ASSERT_EQ(T(value).bits, bits);
    if (bits <= format.infinity()) {
      ASSERT_GT(expected, previous);
      previous = expected;
    }
  }
}

TEST(Float16, EveryEncodingRoundTrips) { walk_every_encoding<f16>(kHalf); }
TEST(BFloat16, EveryEncodingRoundTrips) { walk_every_encoding<bf16>(kBrain); }

/// Between every two neighbours: the middle (a tie) and the floats beside it.
template <class T>
void check_every_tie(const Format& format) {
  for (uint32_t bits = 0; bits + 1 < format.infinity(); ++bits) {
    const auto middle = static_cast<float>((format.decode(bits) + format.decode(bits + 1)) / 2);
    for (const float x : {std::nextafterf(middle, 0), middle, std::nextafterf(middle, INFINITY)})
      check_encode<T>(format, x);
  }
}

TEST(Float16, TiesGoToEven) { check_every_tie<f16>(kHalf); }
TEST(BFloat16, TiesGoToEven) { check_every_tie<bf16>(kBrain); }

template <class T>
void check_random_and_edges(const Format& format) {
  constexpr float kMax = std::numeric_limits<float>::max();
  for (const float x :
       {0.0F,      1.0F,      65503.99F, 65504.0F,        65519.996F,      65520.0F,    65536.0F,
        0x1p-14F,  0x1p-24F,  0x1p-25F,  0x1.000002p-25F, 0x1p-26F,        0x1p-126F,   0x1p-133F,
        0x1p-134F, 0x1p-149F, kMax,      0x1.fep127F,     0x1.fefffep127F, 0x1.ffp127F, INFINITY})
    check_encode<T>(format, x);
  Random random(11);
  for (int i = 0; i < 200000; ++i) {
    const auto x = std::bit_cast<float>(static_cast<uint32_t>(random.next()));
    if (!std::isnan(x)) check_encode<T>(format, x);
    check_encode<T>(format, static_cast<float>(random.normal() * std::exp2(random.uniform(-28, 18))));
  }
}

TEST(Float16, MatchesTheDefinition) { check_random_and_edges<f16>(kHalf); }
TEST(BFloat16, MatchesTheDefinition) { check_random_and_edges<bf16>(kBrain); }

}  // namespace
}  // namespace narrow
