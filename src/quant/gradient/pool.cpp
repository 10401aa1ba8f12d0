// Pools of images that lie channels last: each output hands its gradient to its window, whole to the first
// largest element or in equal shares.
#include <algorithm>
#include <cstring>

#include "quant/gradient/rule.h"

namespace narrow::quant::gradient {
namespace {

using ir::Op;

struct Window {
  int64_t h, w, c, oh, ow;
  int64_t kh, kw, stride_h, stride_w, dilation_h, dilation_w;
  int64_t pads[4];  // top, left, bottom, right
  bool max, include_pad;

  /// visit(offset of the tap's pixel) for the taps inside the image; returns how many count for the mean.
  template <class Visit>
  int64_t taps(int64_t oy, int64_t ox, Visit visit) const {
    int64_t inside = 0, padded = 0;
    for (int64_t ky = 0; ky < kh; ++ky)
      for (int64_t kx = 0; kx < kw; ++kx) {
        const int64_t y = oy * stride_h - pads[0] + ky * dilation_h,
                      x = ox * stride_w - pads[1] + kx * dilation_w;
        padded += y < h + pads[2] && x < w + pads[3] ? 1 : 0;
        if (y < 0 || y >= h || x < 0 || x >= w) continue;
        ++inside;
        visit((y * w + x) * c);
      }
    return include_pad ? padded : inside;
  }

  void run(const float* x, const float* dy, float* dx) const {
    std::memset(dx, 0, static_cast<size_t>(h * w * c) * sizeof(float));
    for (int64_t oy = 0; oy < oh; ++oy)
      for (int64_t ox = 0; ox < ow; ++ox, dy += c)
        max ? give_to_largest(x, dy, dx, oy, ox) : share_out(dy, dx, oy, ox);
  }

  void give_to_largest(const float* x, const float* dy, float* dx, int64_t oy, int64_t ox) const {
    for (int64_t k = 0; k < c; ++k) {
      int64_t best = -1;
      taps(oy, ox, [&](int64_t at) {
        if (best < 0 || x[at + k] > x[best]) best = at + k;
      });
      if (best >= 0) dx[best] += dy[k];
    }
  }

  void share_out(const float* dy, float* dx, int64_t oy, int64_t ox) const {
    const int64_t count = taps(oy, ox, [](int64_t) {});
    if (count == 0) return;
    const float share = 1.0F / static_cast<float>(count);
    taps(oy, ox, [&](int64_t at) {
      for (int64_t k = 0; k < c; ++k) dx[at + k] += share * dy[k];
    });
  }
};

Result<Window> window_of(const RuleCase& c) {
  const ir::Node& node = c.node;
  const Shape x = c.shape(0), y = c.result_shape();
  if (x.size() != 4 || node.int_attr("channels_last", 0) != 1 || node.outputs().size() != 1)
    return no_rule(node, "images, channels last, and one result", to_string(x));
  const bool global = node.op() == Op::GlobalAveragePool || node.op() == Op::GlobalMaxPool;
  const auto kernel = global ? std::vector<int64_t>{x[1], x[2]} : node.ints_attr("kernel_shape");
  const auto strides = node.ints_attr("strides", {1, 1}), dilations = node.ints_attr("dilations", {1, 1}),
             pads = node.ints_attr("pads", {0, 0, 0, 0});
  if (kernel.size() != 2 || node.string_attr("auto_pad", "NOTSET") != "NOTSET")
    return no_rule(node, "a window of two axes and explicit pads", node.string_attr("auto_pad", "NOTSET"));
  return Window{.h = x[1],
                .w = x[2],
                .c = x[3],
                .oh = y[1],
                .ow = y[2],
                .kh = kernel[0],
                .kw = kernel[1],
                .stride_h = strides[0],
                .stride_w = strides[1],
                .dilation_h = dilations[0],
                .dilation_w = dilations[1],
                .pads = {pads[0], pads[1], pads[2], pads[3]},
                .max = node.op() == Op::MaxPool || node.op() == Op::GlobalMaxPool,
                .include_pad = node.int_attr("count_include_pad", 0) != 0};
}

}  // namespace

Result<Backward> pool_rule(const RuleCase& c) {
  NARROW_TRY(const Window window, window_of(c));
  const int64_t images = c.shape(0)[0];
  return Backward([=](const BackwardBuffers& b, ThreadPool& pool) {
    pool.run(images, [&](int64_t n) {
      const int64_t in = n * window.h * window.w * window.c, out = n * window.oh * window.ow * window.c;
      window.run(static_cast<const float*>(b.x[0]) + in, b.dy[0] + out, b.dx[0] + in);
    });
  });
}

}  // namespace narrow::quant::gradient
