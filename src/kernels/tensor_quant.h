// How a value lies in memory, as kernels see it: an element type, and what its integers mean.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace narrow::kernels {

/// Scale and zero point of a per-tensor quantized value. Real value = (q - zero_point) * scale.
struct TensorQuant {
  float scale = 1;
  int32_t zero_point = 0;
};

/// f32 bf16 f16, or u8 s8 with their quantization (ignored for floats).
///   real(q)  = float(q - zero_point) * scale
///   store(r) = round_and_clamp(r * (1 / scale), zero_point, low, high)   (kernels/requantize.h)
/// Floats widen exactly and narrow to nearest even.
struct Format {
  DType type = DType::f32;
  TensorQuant quant = {};
};

}  // namespace narrow::kernels
