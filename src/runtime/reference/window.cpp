#include "runtime/reference/window.h"

#include <fmt/format.h>

#include <algorithm>

namespace narrow::runtime::reference {
namespace {

constexpr int64_t kMost = int64_t{1} << 31;  // products of two stay within 63 bits

/// Values of one axis; the last axes of the three are the op's.
struct Axis {
  int64_t in, kernel, stride, dilation, begin, end;
  int64_t reach() const { return (kernel - 1) * dilation + 1; }
};

/// auto_pad SAME: as many windows as strides fit, what is missing is padding, the odd one at the end (UPPER)
/// or start.
void same_padding(Axis& a, bool upper) {
  const int64_t out = (a.in + a.stride - 1) / a.stride;
  const int64_t total = std::max<int64_t>(0, (out - 1) * a.stride + a.reach() - a.in);
  a.begin = upper ? total / 2 : total - total / 2;
  a.end = total - a.begin;
}

int64_t output_size(const Axis& a, bool ceil_mode) {
  const int64_t room = a.in + a.begin + a.end - a.reach();
  if (room < 0) return -1;
  int64_t out = (room + (ceil_mode ? a.stride - 1 : 0)) / a.stride + 1;
  if (ceil_mode && (out - 1) * a.stride >= a.in + a.begin) --out;
  return out;
}

}  // namespace

Shape Window::output_shape(int64_t batch, int64_t channels) const {
  Shape shape = {batch, channels};
  shape.insert(shape.end(), out.end() - static_cast<std::ptrdiff_t>(rank), out.end());
  return shape;
}

Result<std::vector<int64_t>> window_attr(const ir::Node& node, const std::string& name, size_t count,
                                         int64_t fallback, int64_t low) {
  std::vector<int64_t> values = node.ints_attr(name);
  if (values.empty()) values.assign(count, fallback);
  if (values.size() != count) return invalid(node, fmt::format("{} {}", count, name), to_string(values));
  for (const int64_t v : values)
    if (v < low || v > kMost)
      return invalid(node, fmt::format("{} in [{}, {}]", name, low, kMost), to_string(values));
  return values;
}

Result<Window> make_window(const ir::Node& node, const Shape& x, const Shape& kernel) {
  const size_t rank = kernel.size();
  if (x.size() != rank + 2 || rank < 1)
    return invalid(node, "[n, c, spatial...] and a kernel to fit", to_string(x));
  if (rank > 3) return unsupported(node, "at most 3 spatial axes", to_string(x));
  NARROW_TRY(const std::vector<int64_t> strides, window_attr(node, "strides", rank, 1, 1));
  NARROW_TRY(const std::vector<int64_t> dilations, window_attr(node, "dilations", rank, 1, 1));
  NARROW_TRY(const std::vector<int64_t> pads, window_attr(node, "pads", 2 * rank, 0, 0));
  const std::string auto_pad = node.string_attr("auto_pad", "NOTSET");
  if (auto_pad != "NOTSET" && !auto_pad.empty() && auto_pad != "VALID" && auto_pad != "SAME_UPPER" &&
      auto_pad != "SAME_LOWER")
    return invalid(node, "an auto_pad of ONNX", auto_pad);
  Window w;
  w.rank = rank;
  w.in = w.out = w.kernel = w.stride = w.dilation = {1, 1, 1};
  w.pad_begin = w.pad_end = {0, 0, 0};
  for (size_t i = 0; i < rank; ++i) {
    Axis a{x[i + 2], kernel[i], strides[i], dilations[i], pads[i], pads[i + rank]};
    if (a.kernel < 1 || a.kernel > kMost) return invalid(node, "kernel sizes >= 1", to_string(kernel));
    if (auto_pad != "NOTSET" && !auto_pad.empty()) a.begin = a.end = 0;
    if (auto_pad.starts_with("SAME")) same_padding(a, auto_pad == "SAME_UPPER");
    const size_t d = i + 3 - rank;
    w.in[d] = a.in, w.kernel[d] = a.kernel, w.stride[d] = a.stride, w.dilation[d] = a.dilation;
    w.pad_begin[d] = a.begin, w.pad_end[d] = a.end;
    w.out[d] = output_size(a, node.int_attr("ceil_mode", 0) != 0);
    if (w.out[d] < 0)
      return invalid(node, "an input that holds the kernel", fmt::format("{} for {}", a.in, a.reach()));
  }
  return w;
}

}  // namespace narrow::runtime::reference
