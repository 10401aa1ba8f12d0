// Codes of 1 to 8 bits side by side: code i lies in the bits [i * bits, (i + 1) * bits) of a stream whose
// bytes come first to last and whose bits lowest first. For 2, 4 and 6 bits that is ONNX's raw_data.
#pragma once

#include <cstdint>
#include <span>

namespace narrow {

/// Bytes of `count` codes; 64-bit safe for every count below 2^63.
constexpr int64_t packed_bytes(int64_t count, int bits) {
  return count / 8 * bits + (count % 8 * bits + 7) / 8;
}
static_assert(packed_bytes(32, 4) == 16 && packed_bytes(3, 4) == 2 && packed_bytes(8, 3) == 3);
static_assert(packed_bytes(32, 2) == 8 && packed_bytes(5, 2) == 2 && packed_bytes(4, 6) == 3);

/// The low `bits` of each code; the rest of the last byte is 0. packed holds packed_bytes(codes.size(),
/// bits).
void pack_bits(std::span<const uint8_t> codes, int bits, std::span<uint8_t> packed);
/// The inverse: each code in [0, 2^bits).
void unpack_bits(std::span<const uint8_t> packed, int bits, std::span<uint8_t> codes);

/// Bits per weight with what a group of them shares counted in:
///   (length * code_bits + ceil(length / group) * (scale_bits + zero_point_bits)) / length
/// for a row of `length` weights; group 0: one group a row.
constexpr double effective_bits(double code_bits, int64_t length, int64_t group, double scale_bits,
                                double zero_point_bits = 0) {
  const int64_t groups = group <= 0 ? 1 : length / group + (length % group != 0 ? 1 : 0);
  return code_bits +
         static_cast<double>(groups) * (scale_bits + zero_point_bits) / static_cast<double>(length);
}
static_assert(effective_bits(4, 4096, 32, 16) == 4.5 && effective_bits(4, 4096, 32, 8) == 4.25);
static_assert(effective_bits(4, 4096, 128, 16, 4) == 4.15625 && effective_bits(8, 1024, 0, 32) == 8.03125);

}  // namespace narrow
