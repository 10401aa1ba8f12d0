// Binary: -1 and 1, eight to a byte, lowest bit first; bit 1 stands for 1 (numerics/packing.h with one bit).
// docs/formats/binary.md; Rastegari et al., "XNOR-Net", arXiv:1603.05279.
#pragma once

#include <cstdint>

namespace narrow {

struct binary {
  uint8_t bits = 0;

  static constexpr int kBits = 1;

  constexpr binary() = default;
  /// The sign: 1 for x >= 0, else -1 (NaN too).
  constexpr explicit binary(float x) : bits(x >= 0 ? 1 : 0) {}
  static constexpr binary from_bits(uint8_t b) {
    binary v;
    v.bits = b & 1;
    return v;
  }
  constexpr explicit operator float() const { return bits != 0 ? 1.0F : -1.0F; }
  constexpr bool operator==(const binary&) const = default;
};

static_assert(sizeof(binary) == 1);
static_assert(static_cast<float>(binary(-0.5F)) == -1 && static_cast<float>(binary(0.0F)) == 1);

}  // namespace narrow
