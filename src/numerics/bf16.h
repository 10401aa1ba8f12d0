// bfloat16: 1 sign, 8 exponent, 7 fraction bits; FP32's range with 8 significant bits. docs/formats/bf16.md
//
// Rounds to nearest, ties to even; beyond 3.39e38 Inf; NaN stays NaN. Arithmetic happens in float.
#pragma once

#include <bit>
#include <cstdint>

namespace narrow {

struct bf16 {
  uint16_t bits = 0;
  bf16() = default;
  explicit bf16(float value) {
    const auto u = std::bit_cast<uint32_t>(value);
    const bool nan = (u & 0x7fffffffU) > 0x7f800000U;
    bits = static_cast<uint16_t>(nan ? (u >> 16) | 0x40U : (u + 0x7fffU + ((u >> 16) & 1U)) >> 16);
  }
  static bf16 from_bits(uint16_t b) {
    bf16 v;
    v.bits = b;
    return v;
  }
  explicit operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
  bool operator==(const bf16&) const = default;
};

static_assert(sizeof(bf16) == 2);

}  // namespace narrow
