#include "tensor/packing.h"

#include <algorithm>
#include <span>
#include <vector>

#include "numerics/packing.h"
#include "numerics/ternary.h"

namespace narrow {

int64_t stored_bytes(DType type, int64_t elements) {
  const int bits = bits_of(type);
  return bits % 8 == 0 ? elements * (bits / 8) : packed_bytes(elements, bits);
}

std::string pack(const Tensor& tensor) {
  const auto* bytes = static_cast<const uint8_t*>(tensor.raw());
  std::string packed(static_cast<size_t>(stored_bytes(tensor.dtype(), tensor.elements())), '\0');
  if (packed.empty()) return packed;
  auto* to = reinterpret_cast<uint8_t*>(packed.data());
  const int bits = bits_of(tensor.dtype());
  if (bits % 8 == 0)
    std::memcpy(to, bytes, packed.size());
  else
    pack_bits({bytes, static_cast<size_t>(tensor.elements())}, bits, {to, packed.size()});
  return packed;
}

Tensor unpack(DType type, const Shape& shape, const void* stored) {
  Tensor tensor = Tensor::allocate(type, shape);
  const int bits = bits_of(type);
  const auto count = static_cast<size_t>(tensor.elements());
  if (count == 0) return tensor;
  if (bits % 8 == 0) {
    std::memcpy(tensor.mutable_raw(), stored, static_cast<size_t>(tensor.bytes()));
    return tensor;
  }
  const std::span codes(static_cast<uint8_t*>(tensor.mutable_raw()), count);
  unpack_bits(
      {static_cast<const uint8_t*>(stored), static_cast<size_t>(stored_bytes(type, tensor.elements()))}, bits,
      codes);
  dispatch_narrow(type, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (requires { T::wrap(0); })
      for (uint8_t& code : codes) code = static_cast<uint8_t>(T::wrap(code).bits);
  });
  return tensor;
}

namespace {

bool is_signed(DType type) { return type == DType::s4 || type == DType::s2; }

}  // namespace

int bits_used(const Tensor& tensor) {
  if (!is_narrow_integer(tensor.dtype())) return bits_of(tensor.dtype());
  const auto* values = static_cast<const int8_t*>(tensor.raw());
  int low = 0, high = 0;
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    low = std::min<int>(low, values[i]);
    high = std::max<int>(high, values[i]);
  }
  const int sign = is_signed(tensor.dtype()) ? 1 : 0;
  int bits = 1;
  while (bits < bits_of(tensor.dtype()) &&
         (high >= 1 << (bits - sign) || (sign == 1 && low < -(1 << (bits - 1)))))
    ++bits;
  return bits;
}

std::string pack_into(const Tensor& tensor, int bits) {
  NARROW_CHECK(is_narrow_integer(tensor.dtype()));
  std::string packed(static_cast<size_t>(packed_bytes(tensor.elements(), bits)), '\0');
  pack_bits({static_cast<const uint8_t*>(tensor.raw()), static_cast<size_t>(tensor.elements())}, bits,
            {reinterpret_cast<uint8_t*>(packed.data()), packed.size()});
  return packed;
}

Tensor unpack_from(DType type, const Shape& shape, const void* stored, int bits) {
  NARROW_CHECK(is_narrow_integer(type) && bits >= 1 && bits <= bits_of(type));
  Tensor tensor = Tensor::allocate(type, shape);
  const std::span codes(static_cast<uint8_t*>(tensor.mutable_raw()), static_cast<size_t>(tensor.elements()));
  const auto bytes = static_cast<size_t>(packed_bytes(tensor.elements(), bits));
  unpack_bits({static_cast<const uint8_t*>(stored), bytes}, bits, codes);
  if (!is_signed(type)) return tensor;
  const int half = 1 << (bits - 1);
  for (uint8_t& code : codes) code = static_cast<uint8_t>(code >= half ? code - 2 * half : code);
  return tensor;
}

Packing packing_of(const Tensor& tensor) {
  if (!is_narrow_integer(tensor.dtype()) || !is_signed(tensor.dtype())) return Packing::bits;
  const std::span values(static_cast<const int8_t*>(tensor.raw()), static_cast<size_t>(tensor.elements()));
  if (std::any_of(values.begin(), values.end(), [](int8_t v) { return v < -1 || v > 1; }))
    return Packing::bits;
  return std::find(values.begin(), values.end(), 0) == values.end() ? Packing::signs : Packing::trits;
}

int64_t unit_bytes(int64_t elements, Packing packing) {
  NARROW_CHECK(packing != Packing::bits);
  return packing == Packing::trits ? ternary_bytes(elements) : packed_bytes(elements, 1);
}

std::string pack_units(const Tensor& tensor, Packing packing) {
  std::string packed(static_cast<size_t>(unit_bytes(tensor.elements(), packing)), '\0');
  const std::span bytes(reinterpret_cast<uint8_t*>(packed.data()), packed.size());
  const std::span values(static_cast<const int8_t*>(tensor.raw()), static_cast<size_t>(tensor.elements()));
  if (packing == Packing::trits) {
    std::vector<ternary> trits;
    for (const int8_t v : values) trits.emplace_back(static_cast<float>(v));
    pack_ternary(trits, bytes);
  } else {
    std::vector<uint8_t> signs;
    for (const int8_t v : values) signs.push_back(v > 0 ? 1 : 0);
    pack_bits(signs, 1, bytes);
  }
  return packed;
}

Tensor unpack_units(DType type, const Shape& shape, const void* stored, Packing packing) {
  NARROW_CHECK(is_narrow_integer(type) && is_signed(type));
  Tensor tensor = Tensor::allocate(type, shape);
  const std::span values(static_cast<int8_t*>(tensor.mutable_raw()), static_cast<size_t>(tensor.elements()));
  const std::span bytes(static_cast<const uint8_t*>(stored),
                        static_cast<size_t>(unit_bytes(tensor.elements(), packing)));
  if (packing == Packing::trits) {
    std::vector<ternary> trits(values.size());
    unpack_ternary(bytes, trits);
    std::transform(trits.begin(), trits.end(), values.begin(), [](ternary t) { return t.value; });
  } else {
    std::vector<uint8_t> signs(values.size());
    unpack_bits(bytes, 1, signs);
    std::transform(signs.begin(), signs.end(), values.begin(),
                   [](uint8_t sign) { return static_cast<int8_t>(sign != 0 ? 1 : -1); });
  }
  return tensor;
}

}  // namespace narrow
