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

}  // namespace narrow
