// For tests: weights whose channels and groups differ in size.
#pragma once

#include <utility>

#include "base/random.h"
#include "tensor/tensor.h"

namespace narrow::quant {

inline Tensor random_weights(Shape shape, uint64_t seed) {
  Random random(seed);
  Tensor t = Tensor::allocate(DType::f32, std::move(shape));
  for (float& x : t.mutable_data<float>()) x = static_cast<float>(random.normal() * random.uniform(0.1, 1));
  return t;
}

}  // namespace narrow::quant
