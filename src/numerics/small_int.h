// Integers of at most 8 bits as storage types: the value in a byte, packed by numerics/packing.h.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

namespace narrow {

template <int Bits, bool Signed>
struct SmallInt {
  using Byte = std::conditional_t<Signed, int8_t, uint8_t>;
  Byte bits = 0;

  static constexpr int kBits = Bits;
  static constexpr int kLow = Signed ? -(1 << (Bits - 1)) : 0, kHigh = (1 << (Signed ? Bits - 1 : Bits)) - 1;

  constexpr SmallInt() = default;
  /// Nearest, ties to even; beyond the range the nearest end, NaN the lowest (QuantizeLinear).
  explicit SmallInt(float x)
      : bits(static_cast<Byte>(!(x > static_cast<float>(kLow))  ? kLow
                               : x >= static_cast<float>(kHigh) ? kHigh
                                                                : static_cast<int>(std::nearbyintf(x)))) {}
  /// The low bits, reinterpreted (Cast): also how a packed code is read.
  static constexpr SmallInt wrap(int64_t x) {
    constexpr uint32_t mask = (1U << Bits) - 1;
    const auto code = static_cast<int>(static_cast<uint64_t>(x) & mask);
    SmallInt v;
    v.bits = static_cast<Byte>(code > kHigh ? code - (1 << Bits) : code);
    return v;
  }
  constexpr uint8_t code() const { return static_cast<uint8_t>(bits) & ((1U << Bits) - 1); }
  constexpr explicit operator float() const { return static_cast<float>(bits); }
  constexpr bool operator==(const SmallInt&) const = default;
};

}  // namespace narrow
