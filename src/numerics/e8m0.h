// E8M0: 8 exponent bits, nothing else; 2^(code - 127), code 255 is NaN. The scale type of MX blocks.
// docs/formats/e8m0.md; OCP Microscaling Formats (MX) 1.0, 5.4.1.
#pragma once

#include <bit>
#include <cstdint>

#include "numerics/small_float.h"

namespace narrow {

/// The attribute round_mode of ONNX Cast: to the next power of two above, below, or the nearer (ties above).
enum class ScaleRounding : uint8_t { up, down, nearest };

struct e8m0 {
  uint8_t bits = 127;

  constexpr e8m0() = default;
  /// Saturating, 0 gives 2^-127 and Inf 2^127; with Overflow::special both are NaN, like all beyond the
  /// range. Negative numbers are NaN (ONNX leaves them open).
  constexpr explicit e8m0(double x, Overflow overflow = Overflow::saturate,
                          ScaleRounding rounding = ScaleRounding::up)
      : bits(encode(x, overflow, rounding)) {}
  static constexpr e8m0 from_bits(uint8_t b) {
    e8m0 v;
    v.bits = b;
    return v;
  }
  constexpr float value() const {
    if (bits == 255) return std::bit_cast<float>(0x7fc00000U);
    return std::bit_cast<float>(bits == 0 ? 0x00400000U : static_cast<uint32_t>(bits) << 23);
  }
  constexpr explicit operator float() const { return value(); }
  constexpr bool is_nan() const { return bits == 255; }
  constexpr bool operator==(const e8m0&) const = default;

 private:
  static constexpr uint8_t encode(double x, Overflow overflow, ScaleRounding rounding) {
    if (x != x || x < 0) return 255;
    const auto u = std::bit_cast<uint64_t>(x) & ~(uint64_t{1} << 63);
    const uint64_t fraction = u & ((uint64_t{1} << 52) - 1), half = uint64_t{1} << 51;
    const bool above = rounding == ScaleRounding::up        ? fraction > 0
                       : rounding == ScaleRounding::nearest ? fraction >= half
                                                            : false;
    const int code = static_cast<int>(u >> 52) - 1023 + 127 + (above ? 1 : 0);
    if (code >= 0 && code <= 254) return static_cast<uint8_t>(code);
    if (overflow == Overflow::special) return 255;
    return code < 0 ? 0 : 254;
  }
};

static_assert(sizeof(e8m0) == 1);
static_assert(e8m0::from_bits(0).value() == 0x1p-127F && e8m0::from_bits(254).value() == 0x1p127F);

}  // namespace narrow
