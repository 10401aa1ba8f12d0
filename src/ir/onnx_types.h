// Element types as ONNX numbers them (TensorProto.DataType): attributes such as Cast's `to` hold these
// numbers.
#pragma once

#include <cstdint>
#include <optional>

#include "tensor/dtype.h"

namespace narrow::ir {

/// Nothing for the types narrow has no tensors of (string, complex) and for unknown numbers.
std::optional<DType> dtype_of_onnx(int64_t code);
/// 0 for DType::undefined.
int64_t onnx_of_dtype(DType type);

}  // namespace narrow::ir
