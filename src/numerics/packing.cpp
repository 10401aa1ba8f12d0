#include "numerics/packing.h"

#include <algorithm>

#include "base/check.h"

namespace narrow {

void pack_bits(std::span<const uint8_t> codes, int bits, std::span<uint8_t> packed) {
  NARROW_CHECK(static_cast<int64_t>(packed.size()) == packed_bytes(static_cast<int64_t>(codes.size()), bits));
  const uint32_t mask = (1U << bits) - 1;
  uint32_t pending = 0;
  int held = 0;
  auto out = packed.begin();
  for (const uint8_t code : codes) {
    pending |= (code & mask) << held;
    for (held += bits; held >= 8; held -= 8, pending >>= 8) *out++ = static_cast<uint8_t>(pending);
  }
  if (held > 0) *out = static_cast<uint8_t>(pending);
}

void unpack_bits(std::span<const uint8_t> packed, int bits, std::span<uint8_t> codes) {
  NARROW_CHECK(static_cast<int64_t>(packed.size()) == packed_bytes(static_cast<int64_t>(codes.size()), bits));
  const uint32_t mask = (1U << bits) - 1;
  uint32_t pending = 0;
  int held = 0;
  auto in = packed.begin();
  for (uint8_t& code : codes) {
    for (; held < bits; held += 8) pending |= static_cast<uint32_t>(*in++) << held;
    code = static_cast<uint8_t>(pending & mask);
    pending >>= bits;
    held -= bits;
  }
}

}  // namespace narrow
