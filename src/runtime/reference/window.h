// Sliding windows: the geometry that convolutions and pools share.
#pragma once

#include <algorithm>

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

/// The taps k of one axis of one window: [first, last) lie inside the input, [0, padded) inside it or its
/// padding.
struct Reach {
  int64_t start, first, last, padded;
};
inline Reach reach(const Window& w, size_t d, int64_t o) {
  const int64_t start = o * w.stride[d] - w.pad_begin[d], step = w.dilation[d];
  const auto taps_before = [&](int64_t end) {  // k with start + k * step < end
    return end <= start ? 0 : std::min(w.kernel[d], (end - start + step - 1) / step);
  };
  return {start, taps_before(0), taps_before(w.in[d]), taps_before(w.in[d] + w.pad_end[d])};
}

/// Calls f(input position) for the taps of output position `o` inside the input; returns how many taps lie
/// inside the input or its padding.
template <class F>
int64_t for_each_tap(const Window& w, int64_t o, F&& f) {
  const std::array<Reach, 3> r = {reach(w, 0, o / (w.out[1] * w.out[2])),
                                  reach(w, 1, o / w.out[2] % w.out[1]), reach(w, 2, o % w.out[2])};
  const auto at = [&](size_t d, int64_t k) { return r[d].start + k * w.dilation[d]; };
  for (int64_t i = r[0].first; i < r[0].last; ++i)
    for (int64_t j = r[1].first; j < r[1].last; ++j)
      for (int64_t k = r[2].first; k < r[2].last; ++k)
        f((at(0, i) * w.in[1] + at(1, j)) * w.in[2] + at(2, k));
  return r[0].padded * r[1].padded * r[2].padded;
}

}  // namespace narrow::runtime::reference
