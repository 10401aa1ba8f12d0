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

}  // namespace narrow
