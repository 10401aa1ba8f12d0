// Where the parabolas of byte_function.h come from, and what they give one by one.
#pragma once

#include <memory>

#include "kernels/activation.h"
#include "kernels/byte_function.h"
#include "kernels/tensor_quant.h"
#include "tensor/dtype.h"

namespace narrow::kernels {

/// The activation with results in dst, u8 or s8; null where parabolas would be more than a fifth of dst's
/// scale off, or the activation only clamps.
std::shared_ptr<const ByteFunction> byte_function(const Activation& activation, DType dst,
                                                  const TensorQuant& quant);

/// What is stored for a position of 16 bits: -128 .. 127, for u8 with 128 less.
int32_t byte_at(const ByteFunction& function, int32_t position);

}  // namespace narrow::kernels
