// Copies between places of a tensor: ReverseSequence, CenterCropPad, TensorScatter.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {

Outputs eval_reverse_sequence(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  const bool time_first = node.int_attr("time_axis", 0) == 0;
  if (x.rank() < 2) return invalid(node, "input of rank 2 or more", to_string(x.shape()));
  const int64_t steps = x.dim(time_first ? 0 : 1), batch = x.dim(time_first ? 1 : 0);
  NARROW_TRY(const std::vector<int64_t> lengths, int_list(node, inputs[1]));
  if (std::ssize(lengths) != batch)
    return invalid(node, fmt::format("{} sequence_lens", batch), std::to_string(lengths.size()));
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), x.shape()));
  const auto bytes =
      static_cast<size_t>(x.elements() == 0 ? 0 : x.elements() / (steps * batch) * bytes_of(x.dtype()));
  for (int64_t b = 0; bytes > 0 && b < batch; ++b) {
    const int64_t length = lengths[static_cast<size_t>(b)];
    if (length < 0 || length > steps)
      return invalid(node, fmt::format("lengths in [0, {}]", steps), std::to_string(length));
    for (int64_t t = 0; t < steps; ++t) {
      const int64_t from = t < length ? length - 1 - t : t;
      const auto at = [&](int64_t step) {
        return static_cast<size_t>(time_first ? step * batch + b : b * steps + step) * bytes;
      };
      std::memcpy(static_cast<std::byte*>(y.mutable_raw()) + at(t),
                  static_cast<const std::byte*>(x.raw()) + at(from), bytes);
    }
  }
  return one(std::move(y));
}

/// Along each axis: target index i is source index i + (size - target) / 2, rounded down when cropping;
/// padding puts the smaller half before.
Outputs eval_center_crop_pad(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(const std::vector<int64_t> target, int_list(node, inputs[1]));
  std::vector<int64_t> axes = node.ints_attr("axes");
  if (axes.empty()) {
    axes.resize(static_cast<size_t>(x.rank()));
    std::iota(axes.begin(), axes.end(), 0);
  }
  NARROW_TRY(axes, normal_axes(node, std::move(axes), x.rank()));
  if (target.size() != axes.size())
    return invalid(node, fmt::format("a shape of {} numbers", axes.size()), std::to_string(target.size()));
  Shape shape = x.shape();
  for (size_t i = 0; i < axes.size(); ++i) shape[static_cast<size_t>(axes[i])] = target[i];
  NARROW_TRY(const Tensor room, make_tensor(node, x.dtype(), shape));  // checks the size before the tables
  std::vector<std::vector<int64_t>> tables;
  for (size_t d = 0; d < shape.size(); ++d) {
    const int64_t from = x.shape()[d], to = shape[d];
    const int64_t shift = from >= to ? (from - to) / 2 : -((to - from) / 2);
    std::vector<int64_t>& table = tables.emplace_back();
    for (int64_t i = 0; i < to; ++i) table.push_back(i + shift >= 0 && i + shift < from ? i + shift : -1);
  }
  constexpr uint64_t kZero = 0;
  NARROW_TRY(Tensor y, gather_by_tables(node, x, tables, &kZero));
  return one(std::move(y));
}

Outputs eval_tensor_scatter(const ir::Node& node, Inputs inputs) {
  const Tensor &cache = *inputs[0], &update = *inputs[1];
  NARROW_TRY(const int64_t axis, normal_axis(node, node.int_attr("axis", -2), cache.rank()));
  NARROW_TRY(std::vector<int64_t> starts, int_list(node, optional_input(inputs, 2)));
  const bool circular = node.string_attr("mode", "linear") == "circular";
  Shape expected = cache.shape();
  if (update.rank() == cache.rank()) expected[static_cast<size_t>(axis)] = update.dim(axis);
  if (axis == 0 || update.shape() != expected || update.dtype() != cache.dtype() ||
      update.dim(axis) > cache.dim(axis))
    return invalid(node, "an update that fits " + to_string(cache.shape()) + " but for the axis",
                   to_string(update.shape()));
  if (starts.empty()) starts.assign(static_cast<size_t>(cache.dim(0)), 0);
  if (std::ssize(starts) != cache.dim(0))
    return invalid(node, fmt::format("{} write_indices", cache.dim(0)), std::to_string(starts.size()));
  const AxisView v = view_axis(cache.shape(), axis);
  const int64_t steps = update.dim(axis), per_batch = cache.dim(0) > 0 ? v.outer / cache.dim(0) : 0;
  for (const int64_t start : starts)
    if (start < 0 || start > v.size || (!circular && start + steps > v.size))
      return invalid(node, fmt::format("write_indices that leave room for {} of {}", steps, v.size),
                     std::to_string(start));
  Tensor y = cache.clone();
  const auto bytes = static_cast<size_t>(v.inner * bytes_of(cache.dtype()));
  for (int64_t o = 0; bytes > 0 && o < v.outer; ++o)
    for (int64_t i = 0; i < steps; ++i) {
      const int64_t to = (starts[static_cast<size_t>(o / per_batch)] + i) % v.size;
      std::memcpy(static_cast<std::byte*>(y.mutable_raw()) + static_cast<size_t>(o * v.size + to) * bytes,
                  static_cast<const std::byte*>(update.raw()) + static_cast<size_t>(o * steps + i) * bytes,
                  bytes);
    }
  return one(std::move(y));
}

}  // namespace narrow::runtime::reference
