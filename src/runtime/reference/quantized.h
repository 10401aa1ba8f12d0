// Integers that stand for real numbers: reading and writing them with scales and zero points.
#pragma once

#include "numerics/quantization.h"
#include "runtime/reference/common.h"

namespace narrow::runtime::reference {

/// A Q/DQ parameter as wide as the data: entry of element i is values[offset(i)].
struct Spread {
  std::vector<double> values;
  std::vector<int64_t> at;  // per element of the data; empty: one value for all
  double operator[](int64_t i) const {
    return values[at.empty() ? 0 : static_cast<size_t>(at[static_cast<size_t>(i)])];
  }
};

/// A scale or zero point of ONNX for data of `shape`: a scalar, one per index along `axis`, or one per block
/// of `block_size` along it. t == nullptr: 0 everywhere.
Result<Spread> spread(const ir::Node& node, const Tensor* t, const Shape& shape, int64_t axis,
                      int64_t block_size);

/// The one number of a scale or zero point input; nullptr gives 0. A zero point is within +-65536.
Result<double> scale_of(const ir::Node& node, const Tensor* t);
Result<int32_t> zero_point_of(const ir::Node& node, const Tensor* t);

/// [lowest, highest] of an integer type of at most 32 bits.
Result<IntegerRange> range_of(const ir::Node& node, DType type);

/// Writes integers into a tensor of an integer type; each must fit.
Tensor to_integer_tensor(DType type, const Shape& shape, const std::vector<int32_t>& values);

/// By a value's Quantization: integers to f32, and back with kernels/requantize.h's rounding.
Result<Tensor> dequantize_value(const ir::Node& node, const Tensor& x, const Quantization& q);
Result<Tensor> quantize_value(const ir::Node& node, const Tensor& x, const Quantization& q, DType type);

}  // namespace narrow::runtime::reference
