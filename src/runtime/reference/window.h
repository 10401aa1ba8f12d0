// Sliding windows: the geometry that convolutions and pools share.
#pragma once

#include "runtime/reference/common.h"

namespace narrow::runtime::reference {

/// Always three spatial axes; a 1-D or 2-D op has leading axes of size 1.
struct Window {
  using Extent = std::array<int64_t, 3>;
  Extent in, out, kernel, stride, dilation, pad_begin, pad_end;
  size_t rank = 0;  // of the op

  static int64_t product(const Extent& e) { return e[0] * e[1] * e[2]; }
  int64_t in_size() const { return product(in); }
  int64_t out_size() const { return product(out); }
  int64_t kernel_size() const { return product(kernel); }
  /// [batch, channels, out...]
  Shape output_shape(int64_t batch, int64_t channels) const;
};

/// Reads strides, dilations, pads, auto_pad and ceil_mode of the node; x is [n, c, spatial...], kernel one
/// per spatial axis. With ceil_mode a window that would start in the far padding is left out.
Result<Window> make_window(const ir::Node& node, const Shape& x, const Shape& kernel);

/// strides, dilations, pads, ...: `count` numbers within [low, 2^31], `fallback` each when absent.
Result<std::vector<int64_t>> window_attr(const ir::Node& node, const std::string& name, size_t count,
                                         int64_t fallback, int64_t low);

/// Calls f(input position) for the taps of output position `o` inside the input; returns how many taps lie
/// inside the input or its padding.
template <class F>
int64_t for_each_tap(const Window& w, int64_t o, F&& f) {
  const Window::Extent at = {o / (w.out[1] * w.out[2]), o / w.out[2] % w.out[1], o % w.out[2]};
  int64_t padded = 0;
  Window::Extent k, s;
  const auto place = [&](size_t d) { s[d] = at[d] * w.stride[d] - w.pad_begin[d] + k[d] * w.dilation[d]; };
  const auto inside = [&](size_t d) { return s[d] >= 0 && s[d] < w.in[d]; };
  const auto in_padding = [&](size_t d) { return s[d] < w.in[d] + w.pad_end[d]; };
  for (k[0] = 0; k[0] < w.kernel[0]; ++k[0]) {
    place(0);
    for (k[1] = 0; k[1] < w.kernel[1]; ++k[1]) {
      place(1);
      for (k[2] = 0; k[2] < w.kernel[2]; ++k[2]) {
        place(2);
        padded += in_padding(0) && in_padding(1) && in_padding(2);
        if (inside(0) && inside(1) && inside(2)) f((s[0] * w.in[1] + s[1]) * w.in[2] + s[2]);
      }
    }
  }
  return padded;
}

}  // namespace narrow::runtime::reference
