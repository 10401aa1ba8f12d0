// Floats of at most 8 bits: sign, exponent and fraction in the low bits of a byte.
//
//   value = (-1)^s * 2^(e - bias) * (1 + f / 2^F)      e > 0
//           (-1)^s * 2^(1 - bias) * (f / 2^F)          e = 0
//
// The highest codes mean what Specials says. Rounding is to nearest, ties to even, once, from a double, so it
// is exact from every narrower type as well.
#pragma once

#include <bit>
#include <cstdint>

namespace narrow {

enum class Specials : uint8_t {
  ieee,               // exponent all ones: Inf (fraction 0) and NaN
  nan,                // all ones but the sign: NaN; no Inf
  nan_is_minus_zero,  // the code of -0 is the only NaN; no Inf
  none,               // every code is a number
};

/// Beyond the largest number (Inf too): that number, or what ONNX gives with saturate = 0: Inf, else NaN.
enum class Overflow : uint8_t { saturate, special };

template <int ExponentBits, int FractionBits, int Bias, Specials Kind>
struct SmallFloat {
  uint8_t bits = 0;

  static constexpr int kBits = 1 + ExponentBits + FractionBits, kBias = Bias, kFractionBits = FractionBits;
  static constexpr Specials kSpecials = Kind;
  static constexpr uint8_t kSign = 1U << (kBits - 1), kMask = kSign | (kSign - 1);
  static constexpr uint8_t kMaxCode = Kind == Specials::ieee  ? (kMask >> 1) - (1U << FractionBits)
                                      : Kind == Specials::nan ? (kMask >> 1) - 1
                                                              : kMask >> 1;

  constexpr SmallFloat() = default;
  /// Out of range: saturates.
  constexpr explicit SmallFloat(double x, Overflow overflow = Overflow::saturate)
      : bits(encode(x, overflow)) {}
  static constexpr SmallFloat from_bits(uint8_t b) {
    SmallFloat v;
    v.bits = b & kMask;
    return v;
  }
  constexpr explicit operator float() const { return value(); }
  constexpr bool operator==(const SmallFloat&) const = default;

  constexpr bool is_nan() const {
    if (Kind == Specials::nan_is_minus_zero) return bits == kSign;
    const int magnitude = bits & ~kSign;
    return Kind == Specials::ieee ? magnitude > kMaxCode + 1 : magnitude > kMaxCode;
  }
  constexpr float value() const {
    const uint32_t sign = (bits & kSign) != 0 ? 0x80000000U : 0;
    const uint32_t magnitude = bits & (kMask >> 1);
    if (is_nan()) return std::bit_cast<float>(sign | 0x7fc00000U);
    if (magnitude > kMaxCode) return std::bit_cast<float>(sign | 0x7f800000U);
    const uint32_t e = magnitude >> FractionBits, f = magnitude & ((1U << FractionBits) - 1);
    const uint32_t unit = (e == 0 ? 1 : e) + 127 - Bias - FractionBits;  // exponent of the last place
    const float scaled =
        static_cast<float>(e == 0 ? f : f + (1U << FractionBits)) * std::bit_cast<float>(unit << 23);
    return std::bit_cast<float>(std::bit_cast<uint32_t>(scaled) | sign);
  }

 private:
  static constexpr uint8_t encode(double x, Overflow overflow) {
    const auto u = std::bit_cast<uint64_t>(x);
    const uint8_t sign = (u >> 63) != 0 ? kSign : 0;
    const uint64_t magnitude = u << 1 >> 1, fraction_mask = (uint64_t{1} << 52) - 1;
    if (magnitude > uint64_t{0x7ff} << 52) return not_a_number(sign);
    const int exponent = static_cast<int>(magnitude >> 52) - 1023;
    const uint64_t significand = (magnitude & fraction_mask) | (uint64_t{1} << 52);
    const int below = exponent < 1 - Bias ? 1 - Bias - exponent : 0;  // places lost as a subnormal
    const int shift = 52 - FractionBits + below;
    uint64_t code = 0;  // what is below half of the smallest number stays 0
    if (shift < 54) {
      code = (significand + (uint64_t{1} << (shift - 1)) - 1 + ((significand >> shift) & 1)) >> shift;
      if (below == 0) code += static_cast<uint64_t>(exponent + Bias - 1) << FractionBits;
    }
    if (code > kMaxCode) return beyond(sign, overflow);
    if (Kind == Specials::nan_is_minus_zero && code == 0) return 0;
    return static_cast<uint8_t>(code | sign);
  }
  /// Formats without NaN: zero of the other sign, as ml_dtypes has it (ONNX leaves it open).
  static constexpr uint8_t not_a_number(uint8_t sign) {
    switch (Kind) {
      case Specials::ieee:
        return sign | (kMaxCode + 1) | (1U << (FractionBits - 1));
      case Specials::nan:
        return sign | (kMaxCode + 1);
      case Specials::nan_is_minus_zero:
        return kSign;
      case Specials::none:
        break;
    }
    return sign ^ kSign;
  }
  static constexpr uint8_t beyond(uint8_t sign, Overflow overflow) {
    if (overflow == Overflow::saturate || Kind == Specials::none) return sign | kMaxCode;
    return Kind == Specials::nan_is_minus_zero ? kSign : sign | (kMaxCode + 1);  // Inf, or the NaN there
  }
};

}  // namespace narrow
