// Tensors as files hold them: elements of less than 8 bits side by side (numerics/packing.h), others as in
// memory.
#pragma once

#include <string>

#include "tensor/tensor.h"

namespace narrow {

/// Bytes of `elements` elements in a file.
int64_t stored_bytes(DType type, int64_t elements);
/// The bytes as a file holds them.
std::string pack(const Tensor& tensor);
/// The inverse. `stored` holds stored_bytes() readable bytes and need not be aligned; every byte is accepted.
Tensor unpack(DType type, const Shape& shape, const void* stored);

/// Narrow integers (s4 u4 s2 u2) in fewer bits than their type has, where the values allow: int3 in u4.
/// The bits that hold every value, at least 1 and at most bits_of(); bits_of() for other types.
int bits_used(const Tensor& tensor);
/// As pack() and unpack(), `bits` an element; narrow integers only.
std::string pack_into(const Tensor& tensor, int bits);
Tensor unpack_from(DType type, const Shape& shape, const void* stored, int bits);

/// Narrow integers that are only -1, 0 and 1 take less than two bits: five in a byte (numerics/ternary.h),
/// or, without 0, one bit each (numerics/binary.h).
enum class Packing : uint8_t { bits, trits, signs };
/// The smallest that holds every value of the tensor.
Packing packing_of(const Tensor& tensor);
/// trits or signs.
std::string pack_units(const Tensor& tensor, Packing packing);
int64_t unit_bytes(int64_t elements, Packing packing);
Tensor unpack_units(DType type, const Shape& shape, const void* stored, Packing packing);

}  // namespace narrow
