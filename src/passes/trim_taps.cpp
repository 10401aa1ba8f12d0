// Outer rows and columns of a Conv's kernel that meet padding for every result go, and their pads with them:
//   W[O,C,3,3], dilations [24,24], pads 24 all round, over 16 x 16 pixels  ->  W[O,C,1,1], no pads
// What is left of an axis is contiguous: a row that only sees padding between two that do not stays. One row
// left has dilation 1. Left alone: axes whose extents are not numbers (this runs before a session binds
// them), weights that are not constants, a kernel that sees nothing but padding.
#include <algorithm>
#include <cstring>

#include "passes/list.h"
#include "passes/match.h"

namespace narrow::passes {
namespace {

/// One spatial axis of a convolution.
struct Axis {
  int64_t in, out, taps, stride, dilation, before, after;
};

/// Whether a tap is at a pixel for any result: result j reads row  j * stride + tap * dilation - before.
bool sees_input(const Axis& a, int64_t tap) {
  const int64_t short_of = std::max<int64_t>(0, a.before - tap * a.dilation);
  const int64_t first = short_of / a.stride + (short_of % a.stride != 0 ? 1 : 0);
  return first < a.out && first * a.stride + tap * a.dilation - a.before < a.in;
}

/// How many taps of an axis go at either end, each with a dilation's worth of padding: where less is there,
/// results would begin inside the input, and the tap stays.
struct Trim {
  int64_t lead = 0, trail = 0;
};
Trim trim_of(const Axis& a) {
  int64_t first = 0, last = a.taps - 1;
  while (first < last && !sees_input(a, first)) ++first;
  while (last > first && !sees_input(a, last)) --last;
  if (!sees_input(a, first)) return {};
  return {std::min(first, a.before / a.dilation), std::min(a.taps - 1 - last, a.after / a.dilation)};
}

/// `count` places of an axis from `first` on.
Tensor part_of(const Tensor& t, int64_t axis, int64_t first, int64_t count) {
  Shape shape = t.shape();
  const int64_t extent = t.dim(axis);
  int64_t outer = 1;
  for (int64_t i = 0; i < axis; ++i) outer *= t.dim(i);
  shape[static_cast<size_t>(axis)] = count;
  Tensor part = Tensor::allocate(t.dtype(), shape);
  const int64_t place = outer * extent == 0 ? 0 : t.bytes() / (outer * extent);
  const auto* from = static_cast<const std::byte*>(t.raw());
  auto* to = static_cast<std::byte*>(part.mutable_raw());
  for (int64_t o = 0; o < outer; ++o)
    std::memcpy(to + o * count * place, from + (o * extent + first) * place,
                static_cast<size_t>(count * place));
  return part;
}

/// Attributes of a convolution with its defaults.
struct Window {
  std::vector<int64_t> strides, dilations, pads;

  Window(const Node* conv, size_t spatial)
      : strides(conv->ints_attr("strides", std::vector<int64_t>(spatial, 1))),
        dilations(conv->ints_attr("dilations", std::vector<int64_t>(spatial, 1))),
        pads(conv->ints_attr("pads", std::vector<int64_t>(2 * spatial, 0))) {}

  bool is_sound(size_t spatial) const {
    const auto all_from = [](const std::vector<int64_t>& list, int64_t least) {
      return std::all_of(list.begin(), list.end(), [&](int64_t i) { return i >= least; });
    };
    return strides.size() == spatial && dilations.size() == spatial && pads.size() == 2 * spatial &&
           all_from(strides, 1) && all_from(dilations, 1) && all_from(pads, 0);
  }
};

bool trim(Graph& graph, Node* conv) {
  const Value *x = conv->input(0), *w = conv->input(1);
  if (!is_float_constant(w) || w->constant().rank() < 3 || w->constant().elements() == 0 ||
      conv->string_attr("auto_pad", "NOTSET") != "NOTSET")
    return false;
  const auto spatial = static_cast<size_t>(w->constant().rank() - 2);
  Window window(conv, spatial);
  if (!window.is_sound(spatial)) return false;
  Tensor kept = w->constant();
  for (size_t i = 0; i < spatial; ++i) {
    const auto axis = static_cast<int64_t>(i) + 2;
    int64_t &before = window.pads[i], &after = window.pads[i + spatial], &dilation = window.dilations[i];
    const Axis a{known_dim(x, axis),
                 known_dim(conv->output(), axis),
                 kept.dim(axis),
                 window.strides[i],
                 dilation,
                 before,
                 after};
    if (a.in < 0 || a.out < 0) continue;
    const Trim t = trim_of(a);
    if (t.lead + t.trail == 0) continue;
    kept = part_of(kept, axis, t.lead, a.taps - t.lead - t.trail);
    before -= t.lead * dilation;
    after -= t.trail * dilation;
    if (kept.dim(axis) == 1) dilation = 1;
  }
  if (kept.shape() == w->constant().shape()) return false;
  conv->attrs["pads"] = window.pads;
  conv->attrs["dilations"] = window.dilations;
  if (conv->has("kernel_shape"))
    conv->attrs["kernel_shape"] = std::vector<int64_t>(kept.shape().begin() + 2, kept.shape().end());
  graph.set_input(conv, 1, graph.add_constant(w->name, std::move(kept)));
  return true;
}

}  // namespace

Result<int64_t> trim_taps(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t trimmed = 0;
  for (Node* conv : graph.nodes_of(Op::Conv)) trimmed += trim(graph, conv) ? 1 : 0;
  return trimmed;
}

}  // namespace narrow::passes
