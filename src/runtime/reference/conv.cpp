// Conv and ConvTranspose:  y = x * w + b, channels first, 1 to 3 spatial axes.
#include <fmt/format.h>

#include "runtime/reference/convolve.h"
#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {

Result<ConvGeometry> conv_geometry(const ir::Node& node, const Shape& x, const Shape& w, const Tensor* bias) {
  if (w.size() < 3 || x.size() != w.size())
    return invalid(node, "data [n, c, ...] and weights [m, c/group, ...]",
                   fmt::format("{} and {}", to_string(x), to_string(w)));
  const Shape kernel(w.begin() + 2, w.end());
  if (node.has("kernel_shape") && node.ints_attr("kernel_shape") != kernel)
    return invalid(node, "kernel_shape as the weights have it", to_string(node.ints_attr("kernel_shape")));
  ConvGeometry g;
  NARROW_TRY(g.window, make_window(node, x, kernel));
  g.n = x[0], g.c = x[1], g.oc = w[0], g.groups = node.int_attr("group", 1);
  if (g.groups < 1 || g.c % g.groups != 0 || g.oc % g.groups != 0 || w[1] != g.c / g.groups)
    return invalid(node, fmt::format("channels that fit {} groups", g.groups),
                   fmt::format("{} and {}", to_string(x), to_string(w)));
  if (bias != nullptr && bias->shape() != Shape{g.oc})
    return invalid(node, fmt::format("a bias of [{}]", g.oc), to_string(bias->shape()));
  return g;
}

Outputs eval_conv(const ir::Node& node, Inputs inputs) {
  const Tensor &x = *inputs[0], &w = *inputs[1];
  const Tensor* bias = optional_input(inputs, 2);
  if (w.dtype() != x.dtype() || (bias != nullptr && bias->dtype() != x.dtype()))
    return wrong_type(node, w.dtype());
  NARROW_TRY(const ConvGeometry g, conv_geometry(node, x.shape(), w.shape(), bias));
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), g.output_shape()));
  return for_floats(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    const int64_t plane = g.window.out_size();
    convolve<double>(g, x.data<T>().data(), w.data<T>().data(), [&](int64_t n, int64_t o, const double* acc) {
      const double b = bias != nullptr ? bias->data<T>()[static_cast<size_t>(o)] : 0;
      T* to = y.mutable_data<T>().data() + (n * g.oc + o) * plane;
      for (int64_t i = 0; i < plane; ++i) to[i] = static_cast<T>(acc[i] + b);
    });
    return one(std::move(y));
  });
}

namespace {

/// The window of the convolution this one is the transpose of: its output is our input.
///   out = stride (in - 1) + output_padding + reach - pad_begin - pad_end; given an output_shape, pads follow
///   from it.
Result<Window> transposed_window(const ir::Node& node, const Shape& x, const Shape& kernel) {
  const size_t rank = kernel.size();
  if (x.size() != rank + 2 || rank < 1)
    return invalid(node, "[n, c, spatial...] and a kernel to fit", to_string(x));
  if (rank > 3) return unsupported(node, "at most 3 spatial axes", to_string(x));
  NARROW_TRY(const std::vector<int64_t> strides, window_attr(node, "strides", rank, 1, 1));
  NARROW_TRY(const std::vector<int64_t> dilations, window_attr(node, "dilations", rank, 1, 1));
  NARROW_TRY(const std::vector<int64_t> pads, window_attr(node, "pads", 2 * rank, 0, 0));
  NARROW_TRY(const std::vector<int64_t> extra, window_attr(node, "output_padding", rank, 0, 0));
  NARROW_TRY(std::vector<int64_t> wanted, window_attr(node, "output_shape", rank, 0, 0));
  const std::string auto_pad = node.string_attr("auto_pad", "NOTSET");
  const bool same = auto_pad.starts_with("SAME"), given = !node.ints_attr("output_shape").empty();
  Window w;
  w.rank = rank;
  w.in = w.out = w.kernel = w.stride = w.dilation = {1, 1, 1};
  w.pad_begin = w.pad_end = {0, 0, 0};
  for (size_t i = 0; i < rank; ++i) {
    const size_t d = i + 3 - rank;
    w.out[d] = x[i + 2], w.kernel[d] = kernel[i], w.stride[d] = strides[i], w.dilation[d] = dilations[i];
    if (w.out[d] < 1 || w.out[d] > (int64_t{1} << 31) || kernel[i] < 1)
      return invalid(node, "spatial sizes >= 1", to_string(x));
    const int64_t full = strides[i] * (w.out[d] - 1) + extra[i] + (kernel[i] - 1) * dilations[i] + 1;
    if (given || same) {
      w.in[d] = given ? wanted[i] : w.out[d] * strides[i];
      const int64_t total = std::max<int64_t>(0, full - w.in[d]);
      w.pad_begin[d] = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
    } else {
      const bool valid = auto_pad == "VALID";
      w.pad_begin[d] = valid ? 0 : pads[i];
      w.in[d] = full - (valid ? 0 : pads[i] + pads[i + rank]);
    }
    if (w.in[d] < 0) return invalid(node, "pads smaller than the output", fmt::format("{} left", w.in[d]));
  }
  return w;
}

/// acc[s] += weight * plane[o] where tap k of window o lies on s.
template <class T>
void scatter_tap(const Window& w, const Window::Extent& k, const T* plane, double weight, double* acc) {
  const auto target = [&](size_t d, int64_t o) {
    return o * w.stride[d] - w.pad_begin[d] + k[d] * w.dilation[d];
  };
  for (int64_t i = 0; i < w.out_size(); ++i) {
    const int64_t z = target(0, i / (w.out[1] * w.out[2])), y = target(1, i / w.out[2] % w.out[1]);
    const int64_t x = target(2, i % w.out[2]);
    if (z >= 0 && z < w.in[0] && y >= 0 && y < w.in[1] && x >= 0 && x < w.in[2])
      acc[(z * w.in[1] + y) * w.in[2] + x] += weight * static_cast<double>(plane[i]);
  }
}

template <class T>
void conv_transpose(const Window& w, const Tensor& x, const Tensor& weights, const Tensor* bias,
                    int64_t groups, Tensor& y) {
  const int64_t batch = x.dim(0), c = x.dim(1), group_m = weights.dim(1), group_c = c / groups,
                m = group_m * groups;
  std::vector<double> acc(static_cast<size_t>(w.in_size()));
  for (int64_t n = 0; n < batch; ++n)
    for (int64_t o = 0; o < m; ++o) {
      std::fill(acc.begin(), acc.end(), bias != nullptr ? bias->data<T>()[static_cast<size_t>(o)] : T{0});
      for (int64_t i = 0; i < group_c; ++i) {
        const int64_t channel = o / group_m * group_c + i;
        const T* plane = x.data<T>().data() + (n * c + channel) * w.out_size();
        const T* tap = weights.data<T>().data() + (channel * group_m + o % group_m) * w.kernel_size();
        Window::Extent k;
        for (k[0] = 0; k[0] < w.kernel[0]; ++k[0])
          for (k[1] = 0; k[1] < w.kernel[1]; ++k[1])
            for (k[2] = 0; k[2] < w.kernel[2]; ++k[2]) scatter_tap(w, k, plane, *tap++, acc.data());
      }
      T* to = y.mutable_data<T>().data() + (n * m + o) * w.in_size();
      for (size_t i = 0; i < acc.size(); ++i) to[i] = static_cast<T>(acc[i]);
    }
}

}  // namespace

/// w is [c, m/group, kernel...].
Outputs eval_conv_transpose(const ir::Node& node, Inputs inputs) {
  const Tensor &x = *inputs[0], &w = *inputs[1];
  const Tensor* bias = optional_input(inputs, 2);
  const int64_t groups = node.int_attr("group", 1);
  if (x.rank() < 3 || w.rank() != x.rank() || groups < 1 || w.dim(0) != x.dim(1) || x.dim(1) % groups != 0)
    return invalid(node, fmt::format("data [n, c, ...] and weights [c, m/{}, ...]", groups),
                   fmt::format("{} and {}", to_string(x.shape()), to_string(w.shape())));
  int64_t m = 0;
  if (w.dtype() != x.dtype() || __builtin_mul_overflow(w.dim(1), groups, &m))
    return wrong_type(node, w.dtype());
  if (bias != nullptr && (bias->shape() != Shape{m} || bias->dtype() != x.dtype()))
    return invalid(node, fmt::format("a bias of [{}]", m), to_string(bias->shape()));
  NARROW_TRY(const Window window,
             transposed_window(node, x.shape(), Shape(w.shape().begin() + 2, w.shape().end())));
  Shape shape = {x.dim(0), m};
  shape.insert(shape.end(), window.in.end() - static_cast<std::ptrdiff_t>(window.rank), window.in.end());
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), shape));
  return for_floats(node, x.dtype(), [&](auto tag) -> Outputs {
    conv_transpose<decltype(tag)>(window, x, w, bias, groups, y);
    return one(std::move(y));
  });
}

}  // namespace narrow::runtime::reference
