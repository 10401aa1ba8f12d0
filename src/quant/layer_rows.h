// What a heavy node multiplies its weights with, as rows.
#pragma once

#include <cstdint>

#include "ir/graph.h"
#include "quant/heavy_shape.h"
#include "tensor/tensor.h"

namespace narrow::quant {

/// Rows of the implicit matrix a layer contracts: of a product those of its data, of a convolution one for
/// each output pixel, in the order of k of HeavyShape, zeros where the window lies in the padding.
class LayerRows {
 public:
  /// `data`: the node's input 0, FP32. Precondition: is_heavy(node), pads are explicit.
  LayerRows(const ir::Node& node, const Shape& data);

  int64_t rows() const { return rows_; }
  /// Row `row` of group `group`: k numbers.
  void gather(const float* data, int64_t row, int64_t group, float* out) const;
  /// The numbers of row `row` of group `group` of the layer's result: n numbers.
  void gather_result(const float* result, int64_t row, int64_t group, float* out) const;

 private:
  HeavyShape shape_;
  int64_t rows_ = 0;
  bool is_conv_ = false;
  int64_t channels_ = 0, height_ = 0, width_ = 0, out_height_ = 0, out_width_ = 0;  // of a convolution
  int64_t kernel_width_ = 1, stride_[2] = {1, 1}, dilation_[2] = {1, 1}, pad_[2] = {0, 0};
};

}  // namespace narrow::quant
