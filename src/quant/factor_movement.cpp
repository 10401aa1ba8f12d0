#include <algorithm>
#include <numeric>

#include "passes/match.h"
#include "quant/factor_flow.h"

namespace narrow::quant {
namespace {

using ir::Node;
using ir::Op;
using ir::Value;

std::vector<int64_t> counted(int64_t first, int64_t count, int64_t step = 1) {
  std::vector<int64_t> list(static_cast<size_t>(std::max<int64_t>(count, 0)));
  for (size_t i = 0; i < list.size(); ++i) list[i] = first + static_cast<int64_t>(i) * step;
  return list;
}

std::vector<int64_t> from_second(int64_t rank) { return counted(2, rank - 2); }

std::vector<int64_t> varying_axes(const ChannelIds& x) {
  std::vector<int64_t> axes;
  for (int64_t a = 0; a < x.rank(); ++a)
    if (x.varies(a)) axes.push_back(a);
  return axes;
}

/// start, end and step of one axis, clamped as ONNX's Slice says, as the indices it takes.
std::vector<int64_t> slice_indices(int64_t extent, int64_t start, int64_t end, int64_t step) {
  const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? extent : extent - 1;
  const auto clamped = [&](int64_t i) { return std::clamp(i < 0 ? i + extent : i, low, high); };
  start = clamped(start), end = end < -extent ? low : clamped(end);
  const int64_t count = step > 0 ? (end - start + step - 1) / step : (start - end - step - 1) / -step;
  return counted(start, count, step);
}

}  // namespace

ChannelIds FactorFlow::movement(Node* node) {
  switch (node->op()) {
    case Op::Reshape:
    case Op::Flatten:
    case Op::Squeeze:
    case Op::Unsqueeze: {
      const Value* x = node->input(0);
      const auto ids = reshaped(of(x), x->type.dims, node->output()->type.dims);
      return ids ? *ids : barrier(node);
    }
    case Op::Transpose: {
      std::vector<int64_t> reversed = counted(0, of(node->input(0)).rank());
      std::reverse(reversed.begin(), reversed.end());
      return transposed(of(node->input(0)), node->ints_attr("perm", reversed));
    }
    case Op::Slice:
      return slice(node);
    case Op::Gather:
      return gather(node);
    case Op::Concat:
      return concat(node);
    case Op::Expand:
    case Op::Tile:
      return repeat(node);
    case Op::Pad:
      return pad(node);
    case Op::Resize:
      return resize(node);
    case Op::MaxPool:
    case Op::AveragePool:
    case Op::GlobalAveragePool:
    case Op::GlobalMaxPool:
    case Op::LpPool:
      return pool(node);
    case Op::ReduceMean:
    case Op::ReduceSum:
    case Op::ReduceMax:
    case Op::ReduceMin:
    case Op::ReduceL1:
    case Op::ReduceL2:
      return reduce(node);
    case Op::DepthToSpace:
      return depth_to_space(node);
    case Op::SpaceToDepth:
      return space_to_depth(node);
    default:
      return barrier(node);
  }
}

ChannelIds FactorFlow::slice(Node* node) {
  ChannelIds x = of(node->input(0));
  const auto starts = passes::int_constant(node->input(1)), ends = passes::int_constant(node->input(2)),
             steps = passes::int_constant(node->input(4));
  std::optional<std::vector<int64_t>> axes = passes::int_constant(node->input(3));
  if (node->input(3) == nullptr && starts) axes = counted(0, static_cast<int64_t>(starts->size()));
  if (!axes) return united_along(x, varying_axes(x));
  for (size_t i = 0; i < axes->size(); ++i) {
    const int64_t axis = passes::normalized_axis((*axes)[i], x.rank());
    if (!x.varies(axis)) continue;
    const bool known = starts && ends && (node->input(4) == nullptr || steps);
    const auto picked = known ? slice_indices(x.dims[static_cast<size_t>(axis)], (*starts)[i], (*ends)[i],
                                              steps ? (*steps)[i] : 1)
                              : std::vector<int64_t>{};
    x = picked.empty() ? united_along(x, {axis}) : selected(x, axis, picked);
  }
  return x;
}

void FactorFlow::split(Node* node) {
  const ChannelIds x = of(node->input(0));
  const int64_t axis = passes::normalized_axis(node->int_attr("axis", 0), x.rank());
  const bool known = std::all_of(node->outputs().begin(), node->outputs().end(),
                                 [&](const Value* v) { return passes::known_dim(v, axis) > 0; });
  const bool follow = x.varies(axis) && known;
  const ChannelIds same = follow ? x : united_along(x, {axis});
  int64_t first = 0;
  for (const Value* output : node->outputs()) {
    const int64_t extent = passes::known_dim(output, axis);
    ids_[output] = follow ? selected(x, axis, counted(first, extent)) : same;
    first += extent;
  }
}

ChannelIds FactorFlow::gather(Node* node) {
  const Value* indices = node->input(1);
  if (!indices->type.ranked || node->input(0)->is_constant()) return barrier(node);
  ChannelIds x = of(node->input(0));
  const int64_t axis = passes::normalized_axis(node->int_attr("axis", 0), x.rank());
  Shape middle(indices->type.dims.size(), 1);
  if (x.varies(axis)) {
    auto picked = passes::int_constant(indices);
    if (picked && !picked->empty()) {
      for (int64_t& i : *picked) i = i < 0 ? i + x.dims[static_cast<size_t>(axis)] : i;
      x = selected(x, axis, *picked);
      middle = indices->constant().shape();
    } else {
      x = united_along(x, {axis});
    }
  }
  x.dims.erase(x.dims.begin() + axis);
  x.dims.insert(x.dims.begin() + axis, middle.begin(), middle.end());
  return x;
}

ChannelIds FactorFlow::concat(Node* node) {
  const int64_t axis = passes::normalized_axis(node->int_attr("axis", 0), node->output()->type.rank());
  std::vector<ChannelIds> parts;
  std::vector<int64_t> extents;
  for (const Value* input : node->inputs()) {
    parts.push_back(of(input));
    extents.push_back(passes::known_dim(input, axis));
  }
  const auto ids = concatenated(parts, axis, extents);
  return ids ? *ids : barrier(node);
}

/// Expand and Tile: the same elements again.
ChannelIds FactorFlow::repeat(Node* node) {
  ChannelIds x = of(node->input(0));
  if (node->op() == Op::Tile) {
    const auto times = passes::int_constant(node->input(1));
    for (const int64_t axis : varying_axes(x))
      if (!times || (*times)[static_cast<size_t>(axis)] != 1) x = united_along(x, {axis});
  }
  x.dims.insert(x.dims.begin(), static_cast<size_t>(node->output()->type.rank() - x.rank()), 1);
  return x;
}

/// Zeros, or elements there already.
ChannelIds FactorFlow::pad(Node* node) {
  const Value* value = node->input(2);
  const bool zero = value == nullptr || passes::scalar_constant(value) == 0.0;
  if (node->string_attr("mode", "constant") == "constant" && !zero) return barrier(node);
  ChannelIds x = of(node->input(0));
  const auto pads = passes::int_constant(node->input(1));
  const bool zeros = node->string_attr("mode", "constant") == "constant";
  for (const int64_t axis : varying_axes(x)) {
    const bool known = pads && node->input(3) == nullptr;
    const int64_t before = known ? (*pads)[static_cast<size_t>(axis)] : -1,
                  after = known ? (*pads)[static_cast<size_t>(axis + x.rank())] : -1;
    if (before == 0 && after == 0) continue;
    x = zeros && before >= 0 && after >= 0 ? padded(x, axis, before, after) : united_along(x, {axis});
  }
  return x;
}

/// Zeros take any factor: each gets one of its own.
ChannelIds FactorFlow::padded(const ChannelIds& x, int64_t axis, int64_t before, int64_t after) {
  std::vector<ChannelIds> parts;
  std::vector<int64_t> extents;
  const auto add = [&](int64_t count) {
    std::vector<int> ids(static_cast<size_t>(count));
    for (int& id : ids) id = factors_.fresh();
    parts.push_back(ChannelIds::along(x.rank(), axis, ids));
    extents.push_back(count);
  };
  if (before > 0) add(before);
  parts.push_back(x), extents.push_back(x.dims[static_cast<size_t>(axis)]);
  if (after > 0) add(after);
  const auto all = concatenated(parts, axis, extents);
  return all ? *all : united_along(x, {axis});
}

/// Weighted means of pixels; along the channels only where nothing is resized.
ChannelIds FactorFlow::resize(Node* node) {
  const Value* x = node->input(0);
  const ChannelIds ids = united_along(of(x), from_second(of(x).rank()));
  if (node->string_attr("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize")
    return barrier(node);
  for (const int64_t axis : varying_axes(ids)) {
    const int64_t extent = passes::known_dim(x, axis);
    if (extent < 0 || passes::known_dim(node->output(), axis) != extent || node->has("axes"))
      return barrier(node);
    const Value* scales = node->input(2);
    if (scales == nullptr || scales->type.rank() != 1) continue;
    if (!scales->is_constant()) return barrier(node);
    const std::vector<float> list = to_floats(scales->constant());
    if (!list.empty() && list.at(static_cast<size_t>(axis)) != 1.0F) return barrier(node);
  }
  return ids;
}

ChannelIds FactorFlow::pool(Node* node) {
  const ChannelIds& x = of(node->input(0));
  return united_along(x, from_second(x.rank()));
}

ChannelIds FactorFlow::reduce(Node* node) {
  ChannelIds x = of(node->input(0));
  auto axes = passes::axes_input(node, 1, x.rank());
  if (!axes && node->input(1) != nullptr) return barrier(node);
  if (!axes || axes->empty()) {
    if (node->int_attr("noop_with_empty_axes", 0) != 0) return x;
    axes = counted(0, x.rank());
  }
  x = united_along(x, *axes);
  if (node->int_attr("keepdims", 1) == 0)
    for (auto axis = axes->rbegin(); axis != axes->rend(); ++axis) x.dims.erase(x.dims.begin() + *axis);
  return x;
}

/// Channels that become the pixels of one: mode DCR takes c, C + c, 2 C + c, ..., CRD takes neighbours.
ChannelIds FactorFlow::depth_to_space(Node* node) {
  const ChannelIds x = united_along(of(node->input(0)), {0, 2, 3});
  if (!x.varies(1)) return x;
  const int64_t block = node->int_attr("blocksize", 1), pixels = block * block, channels = x.dims[1] / pixels;
  const bool depth_first = node->string_attr("mode", "DCR") == "DCR";
  std::vector<int> ids;
  for (int64_t c = 0; c < channels; ++c) {
    const auto at = [&](int64_t pixel) {
      return x.ids[static_cast<size_t>(depth_first ? pixel * channels + c : c * pixels + pixel)];
    };
    for (int64_t pixel = 1; pixel < pixels; ++pixel) factors_.unite(at(0), at(pixel));
    ids.push_back(at(0));
  }
  return ChannelIds::along(x.rank(), 1, std::move(ids));
}

ChannelIds FactorFlow::space_to_depth(Node* node) {
  const ChannelIds x = united_along(of(node->input(0)), {0, 2, 3});
  if (!x.varies(1)) return x;
  const int64_t block = node->int_attr("blocksize", 1);
  std::vector<int> ids;
  for (int64_t pixel = 0; pixel < block * block; ++pixel) ids.insert(ids.end(), x.ids.begin(), x.ids.end());
  return ChannelIds::along(x.rank(), 1, std::move(ids));
}

}  // namespace narrow::quant
