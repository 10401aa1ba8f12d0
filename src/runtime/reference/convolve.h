// The convolution loops behind Conv, ConvInteger and QLinearConv.
#pragma once

#include <algorithm>

#include "runtime/reference/window.h"

namespace narrow::runtime::reference {

/// x [n, c, in...], w [oc, c/groups, kernel...].
struct ConvGeometry {
  Window window;
  int64_t n = 1, c = 1, oc = 1, groups = 1;
  Shape output_shape() const { return window.output_shape(n, oc); }
};

/// Checks the shapes of data, weights and bias (null: none) against each other and the attributes.
Result<ConvGeometry> conv_geometry(const ir::Node& node, const Shape& x, const Shape& w, const Tensor* bias);

/// acc += weight * (the input as the tap k of every window sees it); positions outside the input add nothing.
template <class Acc, class In>
void add_tap(const Window& w, const Window::Extent& k, const In* plane, Acc weight, Acc* acc) {
  const auto source = [&](size_t d, int64_t o) {
    return o * w.stride[d] - w.pad_begin[d] + k[d] * w.dilation[d];
  };
  // Columns first <= x < last are inside: 0 <= x * stride + shift < in.
  const int64_t shift = source(2, 0), stride = w.stride[2];
  const int64_t first = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
  const int64_t last = w.in[2] <= shift ? 0 : std::min(w.out[2], (w.in[2] - shift + stride - 1) / stride);
  for (int64_t z = 0; z < w.out[0]; ++z) {
    const int64_t sz = source(0, z);
    if (sz < 0 || sz >= w.in[0]) continue;
    for (int64_t y = 0; y < w.out[1]; ++y) {
      const int64_t sy = source(1, y);
      if (sy < 0 || sy >= w.in[1]) continue;
      const In* row = plane + (sz * w.in[1] + sy) * w.in[2];
      Acc* to = acc + (z * w.out[1] + y) * w.out[2];
      for (int64_t x = first; x < last; ++x) to[x] += weight * static_cast<Acc>(row[x * stride + shift]);
    }
  }
}

/// store(n, o, acc) receives each output plane, window.out_size() sums without bias.
template <class Acc, class In, class Store>
void convolve(const ConvGeometry& g, const In* x, const In* weights, Store&& store) {
  const Window& w = g.window;
  const int64_t group_c = g.c / g.groups;
  std::vector<Acc> acc(static_cast<size_t>(w.out_size()));
  for (int64_t n = 0; n < g.n; ++n)
    for (int64_t o = 0; o < g.oc; ++o) {
      std::fill(acc.begin(), acc.end(), Acc{0});
      const int64_t first = o / (g.oc / g.groups) * group_c;
      const In* tap = weights + o * group_c * w.kernel_size();
      for (int64_t c = 0; c < group_c; ++c) {
        const In* plane = x + (n * g.c + first + c) * w.in_size();
        Window::Extent k;
        for (k[0] = 0; k[0] < w.kernel[0]; ++k[0])
          for (k[1] = 0; k[1] < w.kernel[1]; ++k[1])
            for (k[2] = 0; k[2] < w.kernel[2]; ++k[2])
              add_tap<Acc>(w, k, plane, static_cast<Acc>(*tap++), acc.data());
      }
      store(n, o, acc.data());
    }
}

}  // namespace narrow::runtime::reference
