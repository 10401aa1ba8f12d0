// For tests: weights.
#pragma once

#include <utility>
#include <vector>

#include "base/random.h"
#include "tensor/tensor.h"

namespace narrow::quant {

/// Channels and groups differ in size.
inline Tensor random_weights(Shape shape, uint64_t seed) {
  Random random(seed);
  Tensor t = Tensor::allocate(DType::f32, std::move(shape));
  for (float& x : t.mutable_data<float>()) x = static_cast<float>(random.normal() * random.uniform(0.1, 1));
  return t;
}

/// Index of the parameters of element i in groups along `axis`, by the definition of blocked
/// DequantizeLinear.
inline int64_t group_index(const Shape& shape, int64_t axis, int64_t group_size, int64_t i) {
  Shape groups = shape;
  const auto along = static_cast<size_t>(axis);
  groups[along] = (shape[along] + group_size - 1) / group_size;
  const auto from = row_major_strides(shape), to = row_major_strides(groups);
  int64_t at = 0;
  for (size_t a = 0; a < shape.size(); ++a) {
    const int64_t index = i / from[a] % shape[a];
    at += (a == along ? index / group_size : index) * to[a];
  }
  return at;
}

/// Normal numbers.
inline std::vector<float> random_matrix(int64_t elements, uint64_t seed) {
  Random random(seed);
  std::vector<float> w(static_cast<size_t>(elements));
  for (float& v : w) v = static_cast<float>(random.normal());
  return w;
}

}  // namespace narrow::quant
