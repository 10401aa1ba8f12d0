#include "tensor/packing.h"

#include "numerics/packing.h"

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

}  // namespace narrow
