// Ternary: -1, 0, 1. Five to a byte in base 3, the first least: sum of (t_i + 1) * 3^i < 243; 1.6 bits each.
// docs/formats/ternary.md; Li et al., "Ternary Weight Networks", arXiv:1605.04711.
#pragma once

#include <cstdint>
#include <span>

namespace narrow {

struct ternary {
  int8_t value = 0;

  static constexpr int kPerByte = 5;

  constexpr ternary() = default;
  /// The nearest of -1, 0, 1; ties to 0 (even); NaN gives 0.
  constexpr explicit ternary(float x) : value(static_cast<int8_t>(x > 0.5F ? 1 : x < -0.5F ? -1 : 0)) {}
  constexpr explicit operator float() const { return static_cast<float>(value); }
  constexpr bool operator==(const ternary&) const = default;
};

constexpr int64_t ternary_bytes(int64_t count) {
  return count / ternary::kPerByte + (count % ternary::kPerByte != 0 ? 1 : 0);
}
static_assert(sizeof(ternary) == 1 && 3 * 3 * 3 * 3 * 3 <= 256);
static_assert(ternary_bytes(40) == 8 && ternary_bytes(41) == 9);

/// packed holds ternary_bytes(values.size()) bytes; a short last byte is filled with zeros of value 0.
void pack_ternary(std::span<const ternary> values, std::span<uint8_t> packed);
/// Bytes above 242, which no packing makes, are read modulo 243.
void unpack_ternary(std::span<const uint8_t> packed, std::span<ternary> values);

}  // namespace narrow
