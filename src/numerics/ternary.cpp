#include "numerics/ternary.h"

#include "base/check.h"

namespace narrow {

void pack_ternary(std::span<const ternary> values, std::span<uint8_t> packed) {
  NARROW_CHECK(static_cast<int64_t>(packed.size()) == ternary_bytes(static_cast<int64_t>(values.size())));
  for (size_t byte = 0; byte < packed.size(); ++byte) {
    int sum = 0;
    for (size_t i = ternary::kPerByte; i-- > 0;) {
      const size_t at = byte * ternary::kPerByte + i;
      sum = sum * 3 + (at < values.size() ? values[at].value : 0) + 1;
    }
    packed[byte] = static_cast<uint8_t>(sum);
  }
}

void unpack_ternary(std::span<const uint8_t> packed, std::span<ternary> values) {
  NARROW_CHECK(static_cast<int64_t>(packed.size()) == ternary_bytes(static_cast<int64_t>(values.size())));
  for (size_t byte = 0; byte < packed.size(); ++byte) {
    int rest = packed[byte] % 243;
    for (size_t i = byte * ternary::kPerByte; i < values.size() && i < (byte + 1) * ternary::kPerByte; ++i) {
      values[i].value = static_cast<int8_t>(rest % 3 - 1);
      rest /= 3;
    }
  }
}

}  // namespace narrow
