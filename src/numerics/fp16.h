// IEEE half: 1 sign, 5 exponent, 10 fraction bits; up to 65504, subnormals to 5.96e-8. docs/formats/fp16.md
//
// Rounds to nearest, ties to even; from 65520 on Inf (ONNX Cast does not saturate here); NaN stays NaN.
#pragma once

#include <bit>
#include <cstdint>

namespace narrow {

struct f16 {
  uint16_t bits = 0;
  f16() = default;
  explicit f16(float value) : bits(encode(value)) {}
  static f16 from_bits(uint16_t b) {
    f16 v;
    v.bits = b;
    return v;
  }
  explicit operator float() const { return decode(bits); }
  bool operator==(const f16&) const = default;

  static constexpr float kMax = 65504.0F;

 private:
  static uint16_t encode(float value) {
    const auto u = std::bit_cast<uint32_t>(value);
    const auto sign = static_cast<uint16_t>((u >> 16) & 0x8000U);
    const uint32_t magnitude = u & 0x7fffffffU;
    if (magnitude > 0x7f800000U) return static_cast<uint16_t>(sign | 0x7e00U | ((magnitude >> 13) & 0x3ffU));
    if (magnitude >= 0x477ff000U) return sign | 0x7c00U;  // 65520 and above round to Inf
    if (magnitude < 0x38800000U) {                        // below 2^-14: a multiple of 2^-24
      const float scaled =
          std::bit_cast<float>(magnitude) + 0.5F;  // the adder rounds to nearest even at 2^-24
      return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(scaled) - 0x3f000000U));
    }
    const uint32_t rounded = magnitude + 0xfffU + ((magnitude >> 13) & 1U);
    return static_cast<uint16_t>(sign | ((rounded - 0x38000000U) >> 13));
  }
  static float decode(uint16_t b) {
    const uint32_t sign = static_cast<uint32_t>(b & 0x8000U) << 16;
    const uint32_t exponent = (b >> 10) & 0x1fU, fraction = b & 0x3ffU;
    if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000U | (fraction << 13));
    if (exponent == 0) {
      const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
      return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
    }
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
  }
};

static_assert(sizeof(f16) == 2);

}  // namespace narrow
