// Types of graph values as kernels see them.
#pragma once

#include "kernels/tensor_quant.h"
#include "runtime/kernel.h"

namespace narrow::runtime::lower {

inline bool is_kernel_float(DType t) { return t == DType::f32 || t == DType::bf16 || t == DType::f16; }

/// Float formats, and 8-bit integers with a per-tensor scale.
inline bool has_format(const ir::TensorType& type) {
  return is_kernel_float(type.dtype) || (is_int8(type.dtype) && type.quant && type.quant->per_tensor());
}

inline kernels::Format format_of(const ir::TensorType& type) { return {type.dtype, tensor_quant(type)}; }

/// Both values store the same numbers the same way.
inline bool same_format(const ir::TensorType& a, const ir::TensorType& b) {
  return a.dtype == b.dtype && (a.quant == b.quant || (a.quant && b.quant && *a.quant == *b.quant));
}

}  // namespace narrow::runtime::lower
