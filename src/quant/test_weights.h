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

/// Normal numbers.
inline std::vector<float> random_matrix(int64_t elements, uint64_t seed) {
  Random random(seed);
  std::vector<float> w(static_cast<size_t>(elements));
  for (float& v : w) v = static_cast<float>(random.normal());
  return w;
}

}  // namespace narrow::quant
