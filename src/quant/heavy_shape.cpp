#include "quant/heavy_shape.h"

#include "quant/regions.h"

namespace narrow::quant {

HeavyShape heavy_shape(const ir::Node& node) {
  NARROW_CHECK(is_heavy(node));
  const Tensor& w = weights_of(node)->constant();
  HeavyShape s;
  if (node.op() == ir::Op::Conv) {
    s.groups = node.int_attr("group", 1);
    s.n = w.dim(0) / s.groups;
    s.channels = w.dim(1);
    s.positions = w.dim(2) * w.dim(3);
    s.stride_position = 1;
    s.stride_channel = s.positions;
    s.stride_n = s.channels * s.positions;
    s.stride_group = s.n * s.stride_n;
  } else {
    const int64_t n_axis = channel_axis(node);
    s.n = w.dim(n_axis);
    s.channels = w.dim(1 - n_axis);
    s.stride_channel = n_axis == 1 ? s.n : 1;
    s.stride_n = n_axis == 1 ? 1 : s.channels;
  }
  s.k = s.positions * s.channels;
  return s;
}

}  // namespace narrow::quant
