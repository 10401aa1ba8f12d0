// Ops that read or write where an integer tensor says. Every index is checked; negative ones count from the
// end.
#include <fmt/format.h>

#include <algorithm>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

/// The indices as positions in [0, size).
Result<std::vector<int64_t>> positions(const ir::Node& node, const Tensor& indices, int64_t size) {
  if (indices.dtype() != DType::s64 && indices.dtype() != DType::s32)
    return wrong_type(node, indices.dtype());
  std::vector<int64_t> at = to_ints(indices);
  for (int64_t& i : at) {
    if (i < -size || i >= size)
      return invalid(node, fmt::format("indices in [{}, {})", -size, size), std::to_string(i));
    if (i < 0) i += size;
  }
  return at;
}

/// y[outer, index, inner] blocks of x.
Outputs take(const ir::Node& node, const Tensor& x, const std::vector<int64_t>& at, const AxisView& v,
             const Shape& shape) {
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), shape));
  const int64_t bytes = v.inner * bytes_of(x.dtype());
  const auto* src = static_cast<const std::byte*>(x.raw());
  auto* dst = static_cast<std::byte*>(y.mutable_raw());
  for (int64_t o = 0; o < v.outer && bytes > 0; ++o)
    for (const int64_t i : at) {
      std::memcpy(dst, src + (o * v.size + i) * bytes, static_cast<size_t>(bytes));
      dst += bytes;
    }
  return one(std::move(y));
}

/// Offsets into `shape` of the index tuples in the last axis of `indices`, which address the axes after
/// `batch`. What remains of the axes is one slice of `inner` elements.
struct Slices {
  std::vector<int64_t> offsets;
  int64_t inner = 1;
};
Result<Slices> slices(const ir::Node& node, const Tensor& indices, const Shape& shape, int64_t batch) {
  if (indices.dtype() != DType::s64 || indices.rank() < 1) return wrong_type(node, indices.dtype());
  const int64_t depth = indices.dim(indices.rank() - 1);
  const auto rank = static_cast<int64_t>(shape.size());
  if (depth < 0 || depth + batch > rank || batch >= indices.rank())
    return invalid(node, fmt::format("index tuples of at most {}", rank - batch), std::to_string(depth));
  const std::vector<int64_t> strides = row_major_strides(shape);
  Slices s;
  for (int64_t d = batch + depth; d < rank; ++d) s.inner *= shape[static_cast<size_t>(d)];
  int64_t batches = 1, batch_stride = 1, tuples = 1;
  for (int64_t d = 0; d < rank; ++d) (d < batch ? batches : batch_stride) *= shape[static_cast<size_t>(d)];
  for (int64_t d = 0; d + 1 < indices.rank(); ++d) tuples *= indices.dim(d);
  const auto data = indices.data<int64_t>();
  for (int64_t t = 0; t < tuples; ++t) {
    int64_t offset = t / (tuples / batches) * batch_stride;
    for (int64_t j = 0; j < depth; ++j) {
      const int64_t size = shape[static_cast<size_t>(batch + j)];
      const int64_t i = data[static_cast<size_t>(t * depth + j)];
      if (i < -size || i >= size)
        return invalid(node, fmt::format("indices in [{}, {})", -size, size), std::to_string(i));
      offset += (i < 0 ? i + size : i) * strides[static_cast<size_t>(batch + j)];
    }
    s.offsets.push_back(offset);
  }
  return s;
}

enum class Reduction { none, add, mul, min, max };

Result<Reduction> reduction(const ir::Node& node) {
  const std::string name = node.string_attr("reduction", "none");
  if (name == "none") return Reduction::none;
  if (name == "add") return Reduction::add;
  if (name == "mul") return Reduction::mul;
  if (name == "min") return Reduction::min;
  if (name == "max") return Reduction::max;
  return unsupported(node, "reduction none, add, mul, min or max", name);
}

template <class T>
T combine(Reduction r, T old, T update) {
  using W = std::conditional_t<std::is_integral_v<T>, uint64_t, T>;  // integers modulo 2^bits
  switch (r) {
    case Reduction::none:
      return update;
    case Reduction::add:
      return static_cast<T>(static_cast<W>(old) + static_cast<W>(update));
    case Reduction::mul:
      return static_cast<T>(static_cast<W>(old) * static_cast<W>(update));
    case Reduction::min:
      return std::min(old, update);
    case Reduction::max:
      return std::max(old, update);
  }
  return update;
}

/// y = x, then y[to[i]] combined with updates[i] in order.
Outputs scatter(const ir::Node& node, const Tensor& x, const Tensor& updates,
                const std::vector<int64_t>& to) {
  if (updates.dtype() != x.dtype()) return wrong_type(node, updates.dtype());
  NARROW_TRY(const Reduction r, reduction(node));
  Tensor y = x.clone();
  if (r == Reduction::none)
    return for_words(node, x.dtype(), [&](auto tag) -> Outputs {
      using Word = decltype(tag);
      for (size_t i = 0; i < to.size(); ++i) mutable_words<Word>(y)[to[i]] = words<Word>(updates)[i];
      return one(std::move(y));
    });
  return for_numbers(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    const auto dst = y.mutable_data<T>();
    for (size_t i = 0; i < to.size(); ++i) {
      T& slot = dst[static_cast<size_t>(to[i])];
      slot = combine(r, slot, updates.data<T>()[i]);
    }
    return one(std::move(y));
  });
}

/// For every element of `indices`, the offset in `shape` with its own position but for the axis.
std::vector<int64_t> element_offsets(const Tensor& indices, const std::vector<int64_t>& at,
                                     const Shape& shape, int64_t axis) {
  std::vector<int64_t> strides = row_major_strides(shape);
  const int64_t along = strides[static_cast<size_t>(axis)];
  strides[static_cast<size_t>(axis)] = 0;
  std::vector<int64_t> offsets(at.size());
  walk<1>(indices.shape(), {strides}, [&](int64_t i, const auto& base) {
    offsets[static_cast<size_t>(i)] = base[0] + at[static_cast<size_t>(i)] * along;
  });
  return offsets;
}

/// The indices lie inside the data's shape but for the axis.
Status fits(const ir::Node& node, const Tensor& x, const Tensor& indices, int64_t axis) {
  bool ok = indices.rank() == x.rank();
  for (int64_t d = 0; ok && d < x.rank(); ++d) ok = d == axis || indices.dim(d) <= x.dim(d);
  if (!ok) return invalid(node, "indices within " + to_string(x.shape()), to_string(indices.shape()));
  return {};
}

}  // namespace

Outputs eval_gather(const ir::Node& node, Inputs inputs) {
  const Tensor &x = *inputs[0], &indices = *inputs[1];
  NARROW_TRY(const int64_t axis, normal_axis(node, node.int_attr("axis", 0), x.rank()));
  NARROW_TRY(const std::vector<int64_t> at, positions(node, indices, x.dim(axis)));
  Shape shape(x.shape().begin(), x.shape().begin() + axis);
  shape.insert(shape.end(), indices.shape().begin(), indices.shape().end());
  shape.insert(shape.end(), x.shape().begin() + axis + 1, x.shape().end());
  return take(node, x, at, view_axis(x.shape(), axis), shape);
}

Outputs eval_gather_elements(const ir::Node& node, Inputs inputs) {
  const Tensor &x = *inputs[0], &indices = *inputs[1];
  NARROW_TRY(const int64_t axis, normal_axis(node, node.int_attr("axis", 0), x.rank()));
  NARROW_DO(fits(node, x, indices, axis));
  NARROW_TRY(const std::vector<int64_t> at, positions(node, indices, x.dim(axis)));
  const std::vector<int64_t> from = element_offsets(indices, at, x.shape(), axis);
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), indices.shape()));
  return for_words(node, x.dtype(), [&](auto tag) -> Outputs {
    using Word = decltype(tag);
    for (size_t i = 0; i < from.size(); ++i) mutable_words<Word>(y)[i] = words<Word>(x)[from[i]];
    return one(std::move(y));
  });
}

Outputs eval_gather_nd(const ir::Node& node, Inputs inputs) {
  const Tensor &x = *inputs[0], &indices = *inputs[1];
  const int64_t batch = node.int_attr("batch_dims", 0);
  if (batch < 0 || batch >= std::min(x.rank(), indices.rank()) ||
      !std::equal(x.shape().begin(), x.shape().begin() + batch, indices.shape().begin()))
    return invalid(node, "equal batch dimensions", fmt::format("{} of them", batch));
  if (elements_of(Shape(x.shape().begin(), x.shape().begin() + batch)) == 0)
    return unsupported(node, "a batch", "an empty one");
  NARROW_TRY(const Slices s, slices(node, indices, x.shape(), batch));
  Shape shape(indices.shape().begin(), indices.shape().end() - 1);
  shape.insert(shape.end(), x.shape().begin() + batch + indices.shape().back(), x.shape().end());
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), shape));
  const int64_t width = bytes_of(x.dtype());
  auto* dst = static_cast<std::byte*>(y.mutable_raw());
  for (const int64_t offset : s.offsets) {
    const auto bytes = static_cast<size_t>(s.inner * width);
    if (bytes > 0) std::memcpy(dst, static_cast<const std::byte*>(x.raw()) + offset * width, bytes);
    dst += bytes;
  }
  return one(std::move(y));
}

Outputs eval_scatter_elements(const ir::Node& node, Inputs inputs) {
  const Tensor &x = *inputs[0], &indices = *inputs[1], &updates = *inputs[2];
  NARROW_TRY(const int64_t axis, normal_axis(node, node.int_attr("axis", 0), x.rank()));
  NARROW_DO(fits(node, x, indices, axis));
  if (updates.shape() != indices.shape())
    return invalid(node, "updates " + to_string(indices.shape()), to_string(updates.shape()));
  NARROW_TRY(const std::vector<int64_t> at, positions(node, indices, x.dim(axis)));
  return scatter(node, x, updates, element_offsets(indices, at, x.shape(), axis));
}

Outputs eval_scatter_nd(const ir::Node& node, Inputs inputs) {
  const Tensor &x = *inputs[0], &indices = *inputs[1], &updates = *inputs[2];
  NARROW_TRY(const Slices s, slices(node, indices, x.shape(), 0));
  if (updates.elements() != static_cast<int64_t>(s.offsets.size()) * s.inner)
    return invalid(node, "one slice of updates per index", to_string(updates.shape()));
  std::vector<int64_t> to;
  to.reserve(static_cast<size_t>(updates.elements()));
  for (const int64_t offset : s.offsets)
    for (int64_t i = 0; i < s.inner; ++i) to.push_back(offset + i);
  return scatter(node, x, updates, to);
}

/// values = [off, on]; an index outside [-depth, depth) gives a row of off.
Outputs eval_one_hot(const ir::Node& node, Inputs inputs) {
  const Tensor &indices = *inputs[0], &values = *inputs[2];
  NARROW_TRY(const double depth_value, real_scalar(node, *inputs[1]));
  if (!(depth_value >= 0 && depth_value < 1e12) || values.elements() != 2)
    return invalid(node, "depth >= 0 and two values", std::to_string(depth_value));
  const auto depth = static_cast<int64_t>(depth_value);
  NARROW_TRY(const int64_t axis, normal_axis(node, node.int_attr("axis", -1), indices.rank() + 1));
  Shape shape = indices.shape();
  shape.insert(shape.begin() + axis, depth);
  NARROW_TRY(Tensor y, make_tensor(node, values.dtype(), shape));
  const AxisView v = view_axis(shape, axis);
  const std::vector<int64_t> at = to_ints(indices);
  return for_words(node, values.dtype(), [&](auto tag) -> Outputs {
    using Word = decltype(tag);
    Word* dst = mutable_words<Word>(y);
    std::fill_n(dst, y.elements(), words<Word>(values)[0]);
    for (size_t i = 0; i < at.size(); ++i) {
      const auto line = static_cast<int64_t>(i);
      const int64_t hot = at[i] < 0 ? at[i] + depth : at[i];
      if (hot >= 0 && hot < depth)
        dst[(line / v.inner * depth + hot) * v.inner + line % v.inner] = words<Word>(values)[1];
    }
    return one(std::move(y));
  });
}

}  // namespace narrow::runtime::reference
