#include "ir/ops/window.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace narrow::ir::ops {
namespace {

/// An attribute with `length` numbers that are at least `low`; absent: all `fallback`.
Result<std::vector<int64_t>> numbers(const NodeView& view, const char* attr, size_t length, int64_t low,
                                     int64_t fallback) {
  std::vector<int64_t> values = view.node().ints_attr(attr);
  if (values.empty()) values.assign(length, fallback);
  const bool good = values.size() == length &&
                    std::all_of(values.begin(), values.end(), [&](int64_t v) { return v >= low; });
  if (good) return values;
  return view.error(fmt::format("{} numbers >= {} in {}", length, low, attr),
                    fmt::format("[{}]", fmt::join(values, ",")));
}

Result<AutoPad> auto_pad_of(const NodeView& view) {
  const std::string name = view.node().string_attr("auto_pad", "NOTSET");
  if (name == "NOTSET" || name.empty()) return AutoPad::notset;
  if (name == "SAME_UPPER") return AutoPad::same_upper;
  if (name == "SAME_LOWER") return AutoPad::same_lower;
  if (name == "VALID") return AutoPad::valid;
  return view.error("auto_pad NOTSET, SAME_UPPER, SAME_LOWER or VALID", "'" + name + "'");
}

bool is_same(AutoPad a) { return a == AutoPad::same_upper || a == AutoPad::same_lower; }

Wide floor_div(Wide a, Wide b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }
Wide ceil_div(Wide a, Wide b) { return -floor_div(-a, b); }

Result<Dim> as_result(const NodeView& view, Wide value) {
  const auto dim = as_dim(value);
  if (!dim)
    return view.error("a result whose size fits in 63 bits", value < 0 ? "a negative size" : "an overflow");
  return Dim(*dim);
}

}  // namespace

Result<Window> window_of(const NodeView& view, std::vector<int64_t> kernel) {
  const std::vector<int64_t> given = view.node().ints_attr("kernel_shape");
  for (size_t i = 0; i < kernel.size() && given.size() == kernel.size(); ++i)
    if (kernel[i] < 0) kernel[i] = given[i];
  const bool agrees = given.empty() || given == kernel;
  if (!agrees || std::any_of(kernel.begin(), kernel.end(), [](int64_t k) { return k == 0 || k < -1; }))
    return view.error(
        fmt::format("kernel_shape of positive numbers like the kernel [{}]", fmt::join(kernel, ",")),
        fmt::format("[{}]", fmt::join(given, ",")));
  const size_t n = kernel.size();
  Window w;
  w.kernel = std::move(kernel);
  w.ceil = view.node().int_attr("ceil_mode", 0) != 0;
  NARROW_TRY(w.strides, numbers(view, "strides", n, 1, 1));
  NARROW_TRY(w.dilations, numbers(view, "dilations", n, 1, 1));
  NARROW_TRY(w.auto_pad, auto_pad_of(view));
  NARROW_TRY(w.pads, numbers(view, "pads", 2 * n, 0, 0));
  if (w.auto_pad != AutoPad::notset) w.pads.assign(2 * n, 0);
  return w;
}

Result<Dim> window_positions(const NodeView& view, const Window& w, size_t axis, const Dim& in) {
  const int64_t stride = w.strides[axis];
  if (is_same(w.auto_pad)) {
    if (in.known()) return as_result(view, ceil_div(in.value, stride));
    return stride == 1 ? in : Dim();
  }
  if (w.kernel[axis] < 0) return Dim();
  if (!in.known()) return stride == 1 && w.padding(axis) == w.extent(axis) - 1 ? in : Dim();
  const Wide room = in.value + w.padding(axis) - w.extent(axis);
  if (room < 0)
    return view.error(
        fmt::format("a window no larger than the padded input along spatial axis {}", axis),
        fmt::format("kernel {} (dilation {}) over {}", w.kernel[axis], w.dilations[axis], in.value));
  Wide positions = (w.ceil ? ceil_div(room, stride) : room / stride) + 1;
  if (w.ceil && (positions - 1) * stride >= Wide{in.value} + w.pads[axis]) --positions;
  return as_result(view, positions);
}

Result<Dim> transposed_extent(const NodeView& view, const Window& w, size_t axis, int64_t output_padding,
                              const Dim& in) {
  const int64_t stride = w.strides[axis];
  if (is_same(w.auto_pad)) {
    if (in.known()) return as_result(view, Wide{in.value} * stride);
    return stride == 1 ? in : Dim();
  }
  if (w.kernel[axis] < 0) return Dim();
  const Wide grown = w.extent(axis) - w.padding(axis) + output_padding;
  if (!in.known()) return stride == 1 && grown == 1 ? in : Dim();
  return as_result(view, Wide{stride} * (Wide{in.value} - 1) + grown);
}

}  // namespace narrow::ir::ops
