#include "quant/layer_rows.h"

#include <algorithm>

#include "quant/regions.h"

namespace narrow::quant {

LayerRows::LayerRows(const ir::Node& node, const Shape& data)
    : shape_(heavy_shape(node)), is_conv_(node.op() == ir::Op::Conv) {
  if (!is_conv_) {
    rows_ = shape_.k == 0 ? 0 : elements_of(data) / shape_.k;
    return;
  }
  const Tensor& w = weights_of(node)->constant();
  const auto strides = node.ints_attr("strides", {1, 1}), dilations = node.ints_attr("dilations", {1, 1}),
             pads = node.ints_attr("pads", {0, 0, 0, 0});
  channels_ = data[1], height_ = data[2], width_ = data[3], kernel_width_ = w.dim(3);
  int64_t out[2];
  for (size_t a = 0; a < 2; ++a) {
    stride_[a] = strides[a], dilation_[a] = dilations[a], pad_[a] = pads[a];
    const int64_t reach = dilations[a] * (w.dim(static_cast<int64_t>(a) + 2) - 1) + 1;
    out[a] = std::max<int64_t>(0, (data[a + 2] + pads[a] + pads[a + 2] - reach) / strides[a] + 1);
  }
  out_height_ = out[0], out_width_ = out[1];
  rows_ = data[0] * out_height_ * out_width_;
}

void LayerRows::gather(const float* data, int64_t row, int64_t group, float* out) const {
  if (!is_conv_) {
    std::copy_n(data + row * shape_.k, shape_.k, out);
    return;
  }
  const int64_t x = row % out_width_, y = row / out_width_ % out_height_,
                image = row / (out_width_ * out_height_);
  const float* first = data + (image * channels_ + group * shape_.channels) * height_ * width_;
  for (int64_t p = 0; p < shape_.positions; ++p, out += shape_.channels) {
    const int64_t at_y = y * stride_[0] - pad_[0] + p / kernel_width_ * dilation_[0],
                  at_x = x * stride_[1] - pad_[1] + p % kernel_width_ * dilation_[1];
    if (at_y < 0 || at_y >= height_ || at_x < 0 || at_x >= width_) {
      std::fill_n(out, shape_.channels, 0.0F);
      continue;
    }
    const float* pixel = first + at_y * width_ + at_x;
    for (int64_t c = 0; c < shape_.channels; ++c) out[c] = pixel[c * height_ * width_];
  }
}

void LayerRows::gather_result(const float* result, int64_t row, int64_t group, float* out) const {
  const int64_t pixels = is_conv_ ? out_height_ * out_width_ : 1,
                first = (row / pixels * shape_.groups + group) * shape_.n * pixels + row % pixels;
  for (int64_t n = 0; n < shape_.n; ++n) out[n] = result[first + n * pixels];
}

}  // namespace narrow::quant
