// Where the parameters of an element are when blocks of elements share them.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace narrow {

/// For a tensor of `shape` whose parameters, of the same rank, have ceil(extent / block) on `axis`: the
/// row-major index of an element's parameter, as blocked DequantizeLinear defines it (ONNX opset 21).
/// Precondition: block > 0.
class BlockIndex {
 public:
  BlockIndex(const Shape& shape, int64_t axis, int64_t block)
      : extent_(shape[static_cast<size_t>(axis)]),
        block_(block),
        blocks_((extent_ + block - 1) / block),
        inner_(elements_of(Shape(shape.begin() + axis + 1, shape.end()))) {}

  size_t operator()(int64_t element) const {
    const int64_t row = element / inner_;
    return static_cast<size_t>((row / extent_ * blocks_ + row % extent_ / block_) * inner_ +
                               element % inner_);
  }

 private:
  int64_t extent_, block_, blocks_, inner_;
};

}  // namespace narrow
