#include "quant/gradient/product_shapes.h"

#include "quant/gradient/rule.h"

namespace narrow::quant::gradient {

Result<kernels::ConvShape> conv_shape(const ir::Node& node) {
  if (node.int_attr("channels_last", 0) != 1 || node.input(0)->type.rank() != 4)
    return no_rule(node, "a convolution over images, channels last", ir::to_string(node.input(0)->type));
  const Shape x = node.input(0)->type.shape(), w = node.input(1)->type.shape(),
              y = node.output()->type.shape();
  const auto strides = node.ints_attr("strides", {1, 1}), dilations = node.ints_attr("dilations", {1, 1}),
             pads = node.ints_attr("pads", {0, 0, 0, 0});
  return kernels::ConvShape{.n = x[0],
                            .h = x[1],
                            .w = x[2],
                            .c = x[3],
                            .oh = y[1],
                            .ow = y[2],
                            .oc = y[3],
                            .kh = w[2],
                            .kw = w[3],
                            .stride_h = strides[0],
                            .stride_w = strides[1],
                            .pad_top = pads[0],
                            .pad_left = pads[1],
                            .dilation_h = dilations[0],
                            .dilation_w = dilations[1],
                            .groups = node.int_attr("group", 1)};
}

Result<kernels::ConvShape> product_shape(const ir::Node& node) {
  const Shape a = node.input(0)->type.shape(), b = node.input(1)->type.shape();
  if (b.size() != 2 || a.empty() || a.back() == 0)
    return no_rule(node, "a product with a matrix", to_string(a) + " and " + to_string(b));
  const bool transposed = node.int_attr("transB", 0) != 0;
  const int64_t k = a.back(), n = transposed ? b[0] : b[1], m = elements_of(a) / k;
  return kernels::ConvShape{.n = 1, .h = 1, .w = m, .c = k, .oh = 1, .ow = m, .oc = n};
}

}  // namespace narrow::quant::gradient
