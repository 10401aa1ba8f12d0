#include "runtime/reference/common.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/onnx_types.h"

namespace narrow::runtime::reference {

Error invalid(const ir::Node& node, std::string expected, std::string got) {
  return {.code = Code::invalid_data,
          .subject = node.location(),
          .expected = std::move(expected),
          .got = std::move(got)};
}

Error unsupported(const ir::Node& node, std::string expected, std::string got) {
  return {.code = Code::unsupported,
          .subject = node.location(),
          .expected = std::move(expected),
          .got = std::move(got)};
}

Error wrong_type(const ir::Node& node, DType got) {
  return invalid(node, "an element type this op computes with", to_string(got));
}

Status one_type(const ir::Node& node, Inputs inputs, size_t first, size_t last) {
  for (size_t i = first; i <= last && i < inputs.size(); ++i)
    if (inputs[i] != nullptr && inputs[i]->dtype() != inputs[0]->dtype())
      return invalid(node, fmt::format("input {} in {}", i, to_string(inputs[0]->dtype())),
                     to_string(inputs[i]->dtype()));
  return {};
}

Result<Tensor> make_tensor(const ir::Node& node, DType type, const Shape& shape) {
  const Result<int64_t> count = checked_elements(shape, bytes_of(type));
  if (!count.ok()) return invalid(node, "an output of dimensions >= 0", to_string(shape));
  if (type == DType::undefined) return wrong_type(node, type);
  if (*count > kMaxTensorBytes / bytes_of(type))
    return invalid(node, fmt::format("an output of at most {} bytes", kMaxTensorBytes), to_string(shape));
  return Tensor::allocate(type, shape);
}

Result<int64_t> normal_axis(const ir::Node& node, int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank)
    return invalid(node, fmt::format("an axis in [{}, {})", -rank, rank), std::to_string(axis));
  return axis < 0 ? axis + rank : axis;
}

Result<std::vector<int64_t>> normal_axes(const ir::Node& node, std::vector<int64_t> axes, int64_t rank) {
  for (size_t i = 0; i < axes.size(); ++i) {
    NARROW_TRY(axes[i], normal_axis(node, axes[i], rank));
    if (std::find(axes.begin(), axes.begin() + static_cast<std::ptrdiff_t>(i), axes[i]) !=
        axes.begin() + static_cast<std::ptrdiff_t>(i))
      return invalid(node, "axes without repeats", to_string(axes));
  }
  return axes;
}

Result<std::vector<int64_t>> int_list(const ir::Node& node, const Tensor* tensor) {
  if (tensor == nullptr) return std::vector<int64_t>{};
  if (tensor->rank() > 1 || !is_integer(tensor->dtype()))
    return invalid(node, "a list of integers",
                   fmt::format("{}{}", to_string(tensor->dtype()), to_string(tensor->shape())));
  return to_ints(*tensor);
}

Result<int64_t> int_scalar(const ir::Node& node, const Tensor& tensor) {
  if (tensor.elements() != 1 || !is_integer(tensor.dtype()))
    return invalid(node, "one integer",
                   fmt::format("{}{}", to_string(tensor.dtype()), to_string(tensor.shape())));
  return to_ints(tensor)[0];
}

Result<double> real_scalar(const ir::Node& node, const Tensor& tensor) {
  if (tensor.elements() != 1)
    return invalid(node, "one number",
                   fmt::format("{}{}", to_string(tensor.dtype()), to_string(tensor.shape())));
  return to_doubles(tensor)[0];
}

std::vector<double> to_doubles(const Tensor& tensor) {
  const Tensor wide = cast(tensor, DType::f64);
  const auto data = wide.data<double>();
  return {data.begin(), data.end()};
}

Result<DType> onnx_dtype(const ir::Node& node, int64_t type) {
  const std::optional<DType> found = ir::dtype_of_onnx(type);
  if (!found) return unsupported(node, "an ONNX element type narrow has", std::to_string(type));
  return *found;
}

Result<Shape> broadcast_shape(const ir::Node& node, const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()));
  for (size_t i = 0; i < out.size(); ++i) {  // i counts from the last axis
    const int64_t da = i < a.size() ? a[a.size() - 1 - i] : 1, db = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (da != db && da != 1 && db != 1)
      return invalid(node, "shapes that broadcast", fmt::format("{} and {}", to_string(a), to_string(b)));
    out[out.size() - 1 - i] = da == 1 ? db : da;
  }
  return out;
}

bool broadcasts_to(const Shape& from, const Shape& to) {
  if (from.size() > to.size()) return false;
  const size_t lead = to.size() - from.size();
  for (size_t i = 0; i < from.size(); ++i)
    if (from[i] != 1 && from[i] != to[lead + i]) return false;
  return true;
}

std::vector<int64_t> broadcast_strides(const Shape& from, const Shape& to) {
  const std::vector<int64_t> own = row_major_strides(from);
  std::vector<int64_t> strides(to.size(), 0);
  const size_t lead = to.size() - from.size();
  for (size_t i = 0; i < from.size(); ++i)
    if (from[i] != 1) strides[lead + i] = own[i];
  return strides;
}

AxisView view_axis(const Shape& shape, int64_t axis) {
  AxisView v;
  for (size_t i = 0; i < shape.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    (at < axis ? v.outer : at == axis ? v.size : v.inner) *= shape[i];
  }
  return v;
}

Result<Tensor> gather_by_tables(const ir::Node& node, const Tensor& src,
                                const std::vector<std::vector<int64_t>>& tables, const void* fill) {
  Shape shape;
  for (const auto& table : tables) shape.push_back(static_cast<int64_t>(table.size()));
  NARROW_TRY(Tensor out, make_tensor(node, src.dtype(), shape));
  const std::vector<int64_t> strides = row_major_strides(src.shape());
  const int64_t width = bytes_of(src.dtype());
  const auto* from = static_cast<const std::byte*>(src.raw());
  auto* to = static_cast<std::byte*>(out.mutable_raw());
  std::vector<size_t> index(shape.size(), 0);
  for (int64_t i = 0; i < out.elements(); ++i) {
    int64_t at = 0;
    bool inside = true;
    for (size_t d = 0; d < index.size(); ++d) {
      const int64_t s = tables[d][index[d]];
      inside = inside && s >= 0;
      at += s * strides[d];
    }
    std::memcpy(to + i * width, inside ? from + at * width : fill, static_cast<size_t>(width));
    for (size_t d = index.size(); d-- > 0;) {
      if (++index[d] < tables[d].size()) break;
      index[d] = 0;
    }
  }
  return out;
}

Result<Tensor> permute(const ir::Node& node, const Tensor& x, const std::vector<int64_t>& perm) {
  const std::vector<int64_t> from = row_major_strides(x.shape());
  Shape shape;
  std::array<std::vector<int64_t>, 1> strides;
  for (const int64_t axis : perm) {
    shape.push_back(x.dim(axis));
    strides[0].push_back(from[static_cast<size_t>(axis)]);
  }
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), shape));
  NARROW_DO(for_words(node, x.dtype(), [&](auto word) -> Outputs {
    using Word = decltype(word);
    const Word* src = words<Word>(x);
    Word* dst = mutable_words<Word>(y);
    walk<1>(shape, strides, [&](int64_t i, const auto& at) { dst[i] = src[at[0]]; });
    return std::vector<Tensor>{};
  }));
  return y;
}

}  // namespace narrow::runtime::reference
