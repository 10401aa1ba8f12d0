// Ops that copy elements to other places along whole axes. Positions are computed, values are not looked at.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

/// to[o, to_first + i, :] = from[o, from_first + i, :] for i < count; the sizes are those along the axis.
void copy_block(const Tensor& from, int64_t from_size, int64_t from_first, Tensor& to, int64_t to_size,
                int64_t to_first, int64_t count, const AxisView& v) {
  const int64_t width = v.inner * bytes_of(from.dtype());
  const auto* src = static_cast<const std::byte*>(from.raw());
  auto* dst = static_cast<std::byte*>(to.mutable_raw());
  for (int64_t o = 0; o < v.outer; ++o)
    if (count * width > 0)
      std::memcpy(dst + (o * to_size + to_first) * width, src + (o * from_size + from_first) * width,
                  static_cast<size_t>(count * width));
}

}  // namespace

Outputs eval_transpose(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  std::vector<int64_t> reversed(x.shape().size());
  std::iota(reversed.rbegin(), reversed.rend(), 0);
  NARROW_TRY(const std::vector<int64_t> perm, normal_axes(node, node.ints_attr("perm", reversed), x.rank()));
  if (perm.size() != reversed.size()) return invalid(node, "one entry per axis in perm", to_string(perm));
  NARROW_TRY(Tensor y, permute(node, x, perm));
  return one(std::move(y));
}

Outputs eval_concat(const ir::Node& node, Inputs inputs) {
  const Tensor& first = *inputs[0];
  NARROW_TRY(const int64_t axis, normal_axis(node, node.int_attr("axis", 0), first.rank()));
  const auto at = static_cast<size_t>(axis);
  Shape shape = first.shape();
  shape[at] = 0;
  for (const Tensor* t : inputs) {
    if (t == nullptr || t->dtype() != first.dtype() || t->rank() != first.rank())
      return invalid(node, "inputs of one type and rank", "others");
    Shape rest = t->shape();
    if (__builtin_add_overflow(shape[at], rest[at], &shape[at]))
      return invalid(node, "sizes that add up", "overflow");
    rest[at] = shape[at];
    if (rest != shape) return invalid(node, to_string(shape) + " but for the axis", to_string(t->shape()));
  }
  NARROW_TRY(Tensor y, make_tensor(node, first.dtype(), shape));
  int64_t position = 0;
  for (const Tensor* t : inputs) {
    copy_block(*t, t->dim(axis), 0, y, shape[at], position, t->dim(axis), view_axis(t->shape(), axis));
    position += t->dim(axis);
  }
  return one(std::move(y));
}

/// Sizes come as an input, or are equal (the last one smaller when they do not divide).
Outputs eval_split(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(const int64_t axis, normal_axis(node, node.int_attr("axis", 0), x.rank()));
  NARROW_TRY(std::vector<int64_t> sizes, int_list(node, optional_input(inputs, 1)));
  const auto outputs = static_cast<int64_t>(node.outputs().size());
  int64_t left = x.dim(axis);
  if (optional_input(inputs, 1) == nullptr)
    for (int64_t i = 0, size = (left + outputs - 1) / outputs; i < outputs; ++i) {
      sizes.push_back(std::min(size, left));
      left -= sizes.back();
    }
  std::vector<Tensor> parts;
  int64_t position = 0;
  for (const int64_t size : sizes) {
    if (size < 0 || size > x.dim(axis) - position)
      return invalid(node, "sizes within the axis", to_string(sizes));
    Shape shape = x.shape();
    shape[static_cast<size_t>(axis)] = size;
    NARROW_TRY(Tensor part, make_tensor(node, x.dtype(), shape));
    copy_block(x, x.dim(axis), position, part, size, 0, size, view_axis(x.shape(), axis));
    position += size;
    parts.push_back(std::move(part));
  }
  if (position != x.dim(axis) || static_cast<int64_t>(parts.size()) != outputs)
    return invalid(node, fmt::format("{} sizes that add up to {}", outputs, x.dim(axis)), to_string(sizes));
  return parts;
}

namespace {

/// What a slice takes along one axis: first, first + step, ... (count positions).
struct Stretch {
  int64_t first = 0, step = 1, count = 0;
};

/// start and end as ONNX clamps them: [0, size] forwards, [-1, size - 1] backwards.
Stretch stretch(int64_t start, int64_t end, int64_t step, int64_t size) {
  const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
  start = std::clamp(start < 0 ? start + size : start, low, high);
  end = std::clamp(end < 0 ? end + size : end, low, high);
  const int64_t distance = step > 0 ? end - start : start - end, stride = step > 0 ? step : -step;
  const int64_t count = distance <= 0 ? 0 : (distance - 1) / stride + 1;
  return {count > 0 ? start : 0, count > 1 ? step : 0, count};
}

}  // namespace

/// A negative step walks backwards.
Outputs eval_slice(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(const std::vector<int64_t> starts, int_list(node, inputs[1]));
  NARROW_TRY(const std::vector<int64_t> ends, int_list(node, inputs[2]));
  NARROW_TRY(std::vector<int64_t> axes, int_list(node, optional_input(inputs, 3)));
  NARROW_TRY(std::vector<int64_t> steps, int_list(node, optional_input(inputs, 4)));
  if (optional_input(inputs, 3) == nullptr)
    for (size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<int64_t>(i));
  if (optional_input(inputs, 4) == nullptr) steps.assign(starts.size(), 1);
  if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size())
    return invalid(node, "starts, ends, axes and steps of one length", to_string(starts));
  NARROW_TRY(axes, normal_axes(node, std::move(axes), x.rank()));
  Shape shape = x.shape();
  std::vector<int64_t> strides = row_major_strides(shape);
  int64_t base = 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    if (steps[i] == 0 || steps[i] == INT64_MIN) return invalid(node, "steps other than 0", to_string(steps));
    const auto axis = static_cast<size_t>(axes[i]);
    const Stretch s = stretch(starts[i], ends[i], steps[i], x.dim(axes[i]));
    base += s.first * strides[axis];
    strides[axis] *= s.step;
    shape[axis] = s.count;
  }
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), shape));
  return for_words(node, x.dtype(), [&](auto tag) -> Outputs {
    using Word = decltype(tag);
    const Word* src = words<Word>(x);
    Word* dst = mutable_words<Word>(y);
    walk<1>(shape, {strides}, [&](int64_t i, const auto& at) { dst[i] = src[base + at[0]]; });
    return one(std::move(y));
  });
}

Outputs eval_expand(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(Shape shape, int_list(node, inputs[1]));
  NARROW_TRY(shape, broadcast_shape(node, x.shape(), shape));
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), shape));
  return for_words(node, x.dtype(), [&](auto tag) -> Outputs {
    using Word = decltype(tag);
    const Word* src = words<Word>(x);
    Word* dst = mutable_words<Word>(y);
    walk<1>(shape, {broadcast_strides(x.shape(), shape)},
            [&](int64_t i, const auto& at) { dst[i] = src[at[0]]; });
    return one(std::move(y));
  });
}

Outputs eval_tile(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(const std::vector<int64_t> repeats, int_list(node, inputs[1]));
  if (static_cast<int64_t>(repeats.size()) != x.rank())
    return invalid(node, "one repeat per axis", to_string(repeats));
  Shape shape = x.shape();
  for (size_t i = 0; i < repeats.size(); ++i)
    if (repeats[i] < 0 || __builtin_mul_overflow(shape[i], repeats[i], &shape[i]))
      return invalid(node, "repeats >= 0", to_string(repeats));
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), shape));
  if (y.elements() == 0) return one(std::move(y));
  std::vector<std::vector<int64_t>> tables;
  for (size_t i = 0; i < repeats.size(); ++i) {
    tables.emplace_back();
    for (int64_t at = 0; at < shape[i]; ++at) tables.back().push_back(at % x.shape()[i]);
  }
  NARROW_TRY(y, gather_by_tables(node, x, tables, nullptr));
  return one(std::move(y));
}

/// Blocks of channels become blocks of pixels: DCR reads channels as [b, b, c], CRD as [c, b, b].
Outputs eval_depth_to_space(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  const int64_t b = node.int_attr("blocksize", 0);
  if (x.rank() != 4 || b < 1 || b > (1 << 20) || x.dim(1) % (b * b) != 0)
    return invalid(node, "[n, c * blocksize^2, h, w]",
                   fmt::format("{} and blocksize {}", to_string(x.shape()), b));
  const int64_t n = x.dim(0), c = x.dim(1) / (b * b), h = x.dim(2), w = x.dim(3);
  const bool dcr = node.string_attr("mode", "DCR") == "DCR";
  const Tensor parts = x.reshaped(dcr ? Shape{n, b, b, c, h, w} : Shape{n, c, b, b, h, w});
  NARROW_TRY(Tensor y, permute(node, parts, dcr ? Shape{0, 3, 4, 1, 5, 2} : Shape{0, 1, 4, 2, 5, 3}));
  return one(y.reshaped({n, c, h * b, w * b}));
}

Outputs eval_space_to_depth(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  const int64_t b = node.int_attr("blocksize", 0);
  if (x.rank() != 4 || b < 1 || x.dim(2) % b != 0 || x.dim(3) % b != 0)
    return invalid(node, "[n, c, h * blocksize, w * blocksize]",
                   fmt::format("{} and {}", to_string(x.shape()), b));
  const int64_t n = x.dim(0), c = x.dim(1), h = x.dim(2) / b, w = x.dim(3) / b;
  // dcr as in DepthToSpace; "mode" came with a later opset.
  const bool dcr = node.string_attr("mode", "DCR") == "DCR";
  const Tensor parts = x.reshaped({n, c, h, b, w, b});
  NARROW_TRY(Tensor y, permute(node, parts, dcr ? Shape{0, 3, 5, 1, 2, 4} : Shape{0, 1, 3, 5, 2, 4}));
  return one(y.reshaped({n, c * b * b, h, w}));
}

/// The upper (column >= row + k) or lower triangle of the last two axes; the rest is 0.
Outputs eval_trilu(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  if (x.rank() < 2) return invalid(node, "matrices", to_string(x.shape()));
  int64_t k = 0;
  if (const Tensor* input = optional_input(inputs, 1)) {
    NARROW_TRY(k, int_scalar(node, *input));
  }
  k = std::clamp<int64_t>(k, -(int64_t{1} << 40), int64_t{1} << 40);
  const bool upper = node.int_attr("upper", 1) != 0;
  const int64_t rows = x.dim(x.rank() - 2), columns = x.dim(x.rank() - 1);
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), x.shape()));
  return for_words(node, x.dtype(), [&](auto tag) -> Outputs {
    using Word = decltype(tag);
    for (int64_t i = 0; i < x.elements(); ++i) {
      const int64_t column = i % columns, diagonal = i / columns % rows + k;
      const bool keep = upper ? column >= diagonal : column <= diagonal;
      mutable_words<Word>(y)[i] = keep ? words<Word>(x)[i] : Word{0};
    }
    return one(std::move(y));
  });
}

}  // namespace narrow::runtime::reference
