// Floats of at most 8 bits: every code against the definition, every tie, and lists that ml_dtypes 0.5
// (through onnx.numpy_helper.saturate_cast and to_float8e8m0) gave.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "numerics/float_formats.h"

namespace narrow {
namespace {

using Codes = std::vector<int>;
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// What the lists below encode, rounded to float.
const std::vector<float> kInputs = {
    0.0F,    -0.0F,      1.0F,  -1.0F,    0.3F,    -0.3F,     1.0625F, 1.1875F, 2.5F,     5.0F,      7.0F,
    -7.3F,   17.0F,      19.5F, 240.0F,   248.0F,  -250.0F,   448.0F,  464.0F,  465.0F,   57344.0F,  61439.0F,
    61441.F, 1000000.0F, -1e6F, 0x1p-10F, 0.0009F, 0x1.8p-9F, 7.6e-6F, 1e-7F,   INFINITY, -INFINITY, kNaN};

struct Golden {
  Codes special, saturate;  // of kInputs
  double sum;               // of |x| over all codes that are finite
  int nans, infinities;
};

template <class T>
Golden golden();
template <>
Golden golden<fp8_e4m3fn>() {
  return {{0,   128, 56,  184, 42,  170, 56,  58,  66, 74, 78, 207, 88, 90,  119, 120, 248,
           126, 126, 127, 127, 127, 127, 127, 255, 0,  0,  2,  0,   0,  127, 255, 127},
          {0,   128, 56,  184, 42,  170, 56,  58,  66, 74, 78, 207, 88, 90,  119, 120, 248,
           126, 126, 126, 126, 126, 126, 126, 254, 0,  0,  2,  0,   0,  126, 254, 127},
          10815.75,
          2,
          0};
}
template <>
Golden golden<fp8_e4m3fnuz>() {
  return {{0,   0,   64,  192, 50,  178, 64,  66,  74, 82, 86, 215, 96, 98,  127, 128, 128,
           128, 128, 128, 128, 128, 128, 128, 128, 1,  1,  3,  0,   0,  128, 128, 128},
          {0,   0,   64,  192, 50,  178, 64,  66,  74, 82, 86, 215, 96, 98,  127, 127, 255,
           127, 127, 127, 127, 127, 127, 127, 255, 1,  1,  3,  0,   0,  127, 255, 128},
          5887.875,
          1,
          0};
}
template <>
Golden golden<fp8_e5m2>() {
  return {{0,  128, 60, 188, 53,  181, 60,  61,  65, 69, 71, 199, 76, 77,  92,  92, 220,
           95, 95,  95, 123, 123, 124, 124, 252, 20, 19, 26, 0,   0,  124, 252, 126},
          {0,  128, 60, 188, 53,  181, 60,  61,  65, 69, 71, 199, 76, 77,  92,  92, 220,
           95, 95,  95, 123, 123, 123, 123, 251, 20, 19, 26, 0,   0,  123, 251, 126},
          720895.9995117188,
          6,
          2};
}
template <>
Golden golden<fp8_e5m2fnuz>() {
  return {{0,  0,  64, 192, 57,  185, 64,  65,  69, 73, 75, 203, 80, 81,  96,  96, 224,
           99, 99, 99, 127, 127, 128, 128, 128, 24, 23, 30, 1,   0,  128, 128, 128},
          {0,  0,  64, 192, 57,  185, 64,  65,  69, 73, 75, 203, 80, 81,  96,  96, 224,
           99, 99, 99, 127, 127, 127, 127, 255, 24, 23, 30, 1,   0,  127, 255, 128},
          720895.9997558594,
          1,
          0};
}
Golden only(Codes codes, double sum) { return {codes, codes, sum, 0, 0}; }
template <>
Golden golden<fp6_e2m3>() {
  return only({0,  32, 8,  40, 2,  34, 8,  10, 18, 26, 30, 63, 31, 31, 31, 31, 63,
               31, 31, 31, 31, 31, 31, 31, 63, 0,  0,  0,  0,  0,  31, 63, 32},
              168);
}
template <>
Golden golden<fp6_e3m2>() {
  return only({0,  32, 12, 44, 5,  37, 12, 13, 17, 21, 23, 55, 28, 29, 31, 31, 63,
               31, 31, 31, 31, 31, 31, 31, 63, 0,  0,  0,  0,  0,  31, 63, 32},
              350);
}
template <>
Golden golden<fp4_e2m1>() {
  return only({0, 8, 2, 10, 1, 9, 2, 2,  4, 6, 7, 15, 7, 7, 7,  7, 15,
               7, 7, 7, 7,  7, 7, 7, 15, 0, 0, 0, 0,  0, 7, 15, 8},
              36);
}

template <class T>
class SmallFloats : public testing::Test {
 protected:
  static constexpr int kCodes = 1 << T::kBits;
  static double number(int code) {
    return static_cast<double>(T::from_bits(static_cast<uint8_t>(code)).value());
  }
  static int code(double x, Overflow overflow = Overflow::saturate) { return T(x, overflow).bits; }
};
using All = testing::Types<fp8_e4m3fn, fp8_e4m3fnuz, fp8_e5m2, fp8_e5m2fnuz, fp6_e2m3, fp6_e3m2, fp4_e2m1>;
TYPED_TEST_SUITE(SmallFloats, All);

TYPED_TEST(SmallFloats, EncodesAsMlDtypes) {
  const Golden expected = golden<TypeParam>();
  for (size_t i = 0; i < kInputs.size(); ++i) {
    EXPECT_EQ(this->code(kInputs[i]), expected.saturate[i]) << kInputs[i];
    EXPECT_EQ(this->code(kInputs[i], Overflow::special), expected.special[i]) << kInputs[i];
  }
}

/// Every code is another number, larger codes of one sign are further from zero, and each comes back.
TYPED_TEST(SmallFloats, EveryCodeRoundTrips) {
  const Golden expected = golden<TypeParam>();
  double sum = 0, previous = -1;
  int nans = 0, infinities = 0;
  for (int code = 0; code < this->kCodes; ++code) {
    const double x = this->number(code);
    const int magnitude = code % (this->kCodes / 2);
    if (magnitude == 0) previous = -1;
    if (std::isnan(x)) {
      ++nans;
      EXPECT_TRUE(TypeParam::from_bits(static_cast<uint8_t>(code)).is_nan());
      EXPECT_TRUE(TypeParam(x).is_nan());
      continue;
    }
    EXPECT_EQ(std::signbit(x), code != magnitude);
    EXPECT_GT(std::fabs(x), previous);
    previous = std::fabs(x);
    EXPECT_EQ(this->code(x, Overflow::special), code);
    if (std::isinf(x)) {
      ++infinities;
      EXPECT_EQ(this->code(x), code - 1);  // the largest number lies before Inf
      continue;
    }
    EXPECT_EQ(this->code(x), code);
    sum += std::fabs(x);
    // (-1)^s 2^(e - bias) (1 + f / 2^F), or 2^(1 - bias) f / 2^F
    const int e = magnitude >> TypeParam::kFractionBits, f = magnitude % (1 << TypeParam::kFractionBits);
    const double fraction = std::ldexp(f, -TypeParam::kFractionBits);
    EXPECT_EQ(std::fabs(x), e == 0 ? std::ldexp(fraction, 1 - TypeParam::kBias)
                                   : std::ldexp(1 + fraction, e - TypeParam::kBias));
  }
  EXPECT_EQ(nans, expected.nans);
  EXPECT_EQ(infinities, expected.infinities);
  EXPECT_NEAR(sum, expected.sum, 1e-10 * expected.sum);
}

/// Between two neighbours: the middle goes to the even code, what lies beside it to the nearer, in double
/// too.
TYPED_TEST(SmallFloats, TiesGoToEven) {
  for (int code = 0; code < TypeParam::kMaxCode; ++code) {
    const double middle = (this->number(code) + this->number(code + 1)) / 2;
    EXPECT_EQ(this->code(middle), code + code % 2);
    EXPECT_EQ(this->code(std::nextafter(middle, 0)), code);
    EXPECT_EQ(this->code(std::nextafter(middle, kInf)), code + 1);
    const int sign = this->kCodes / 2;
    EXPECT_EQ(this->code(-std::nextafter(middle, kInf)), sign + code + 1);
  }
}

TYPED_TEST(SmallFloats, BeyondTheLargest) {
  const double largest = this->number(TypeParam::kMaxCode), below = this->number(TypeParam::kMaxCode - 1);
  const double half = largest + (largest - below) / 2;  // rounds to what would be the next number
  for (const double x : {std::nextafter(half, kInf), 1e30, 1e300, kInf}) {
    EXPECT_EQ(this->code(x), TypeParam::kMaxCode);
    const double special = static_cast<double>(TypeParam(x, Overflow::special).value());
    switch (TypeParam::kSpecials) {
      case Specials::ieee:
        EXPECT_EQ(special, kInf);
        break;
      case Specials::none:
        EXPECT_EQ(special, largest);
        break;
      default:
        EXPECT_TRUE(std::isnan(special));
    }
  }
  EXPECT_EQ(this->code(std::nextafter(half, 0), Overflow::special), TypeParam::kMaxCode);
  EXPECT_EQ(this->code(5e-324), 0);
}

TEST(E8M0, EveryCodeIsAPowerOfTwo) {
  for (int code = 0; code < 255; ++code) {
    const e8m0 scale = e8m0::from_bits(static_cast<uint8_t>(code));
    const double x = static_cast<double>(scale.value());
    EXPECT_EQ(x, std::ldexp(1.0, code - 127));
    for (const ScaleRounding r : {ScaleRounding::up, ScaleRounding::down, ScaleRounding::nearest})
      for (const Overflow o : {Overflow::saturate, Overflow::special}) EXPECT_EQ(e8m0(x, o, r), scale);
  }
  EXPECT_TRUE(std::isnan(e8m0::from_bits(255).value()));
}

TEST(E8M0, RoundsAsOnnx) {
  const std::vector<float> x = {0, 0.124F, 0.25F, 0.75F, 1, 1.1F, 1.5F, 3, 6, 1e-3F, 448, 3e38F, 1.8e38F};
  const auto codes = [&](ScaleRounding rounding) {
    Codes out;
    for (const float v : x) out.push_back(e8m0(static_cast<double>(v), Overflow::saturate, rounding).bits);
    return out;
  };
  EXPECT_EQ(codes(ScaleRounding::up), (Codes{0, 124, 125, 127, 127, 128, 128, 129, 130, 118, 136, 254, 254}));
  EXPECT_EQ(codes(ScaleRounding::down),
            (Codes{0, 123, 125, 126, 127, 127, 127, 128, 129, 117, 135, 254, 254}));
  EXPECT_EQ(codes(ScaleRounding::nearest),
            (Codes{0, 124, 125, 127, 127, 127, 128, 129, 130, 117, 136, 254, 254}));
}

/// The table of ONNX Cast: 0, NaN, Inf and what lies outside [2^-127, 2^127].
TEST(E8M0, SpecialValues) {
  const auto saturated = [](double x) { return e8m0(x, Overflow::saturate, ScaleRounding::up).bits; };
  EXPECT_EQ(saturated(0), 0);
  EXPECT_EQ(saturated(0x1p-140), 0);
  EXPECT_EQ(saturated(1e300), 254);
  EXPECT_EQ(saturated(kInf), 254);
  EXPECT_EQ(saturated(std::nan("")), 255);
  EXPECT_EQ(saturated(-1), 255);
  for (const double x : {0.0, 0x1p-140, 1e300, kInf, std::nan(""), -1.0})
    EXPECT_EQ(e8m0(x, Overflow::special, ScaleRounding::nearest).bits, 255) << x;
}

}  // namespace
}  // namespace narrow
