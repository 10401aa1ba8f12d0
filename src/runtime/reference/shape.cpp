// Shapes and constants: no element is computed, at most counted or filled in.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

Result<Tensor> reshape_to(const ir::Node& node, const Tensor& x, const Shape& shape) {
  const Result<int64_t> count = checked_elements(shape, bytes_of(x.dtype()));
  if (!count.ok() || *count != x.elements())
    return invalid(node, fmt::format("a shape of {} elements", x.elements()), to_string(shape));
  return x.reshaped(shape);
}

int64_t product(const Shape& shape, int64_t first, int64_t last) {
  int64_t n = 1;
  for (int64_t i = first; i < last; ++i) n *= shape[static_cast<size_t>(i)];
  return n;
}

/// The one-element attribute `value` of Constant and ConstantOfShape, or nullptr.
const Tensor* tensor_attr(const ir::Node& node, const std::string& name) {
  const auto it = node.attrs.find(name);
  return it == node.attrs.end() ? nullptr : std::get_if<Tensor>(&it->second);
}

/// The shape [begin, end) asks for, clamped to the rank as Shape's attributes are.
int64_t clamp_position(int64_t at, int64_t rank) {
  return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank);
}

}  // namespace

/// 0 copies the input's dimension (unless allowzero), -1 is whatever makes the count fit.
Outputs eval_reshape(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(Shape shape, int_list(node, inputs[1]));
  const bool allow_zero = node.int_attr("allowzero", 0) != 0;
  int64_t known = 1, wild = -1;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0 && !allow_zero) {
      if (i >= x.shape().size()) return invalid(node, "0 only where the input has an axis", to_string(shape));
      shape[i] = x.shape()[i];
    }
    if (shape[i] == -1) {
      if (wild >= 0) return invalid(node, "at most one -1", to_string(shape));
      wild = static_cast<int64_t>(i);
    } else if (shape[i] < 0 || __builtin_mul_overflow(known, shape[i], &known)) {
      return invalid(node, "dimensions >= -1", to_string(shape));
    }
  }
  if (wild >= 0) {
    if (known == 0 || x.elements() % known != 0)
      return invalid(node, fmt::format("a shape that divides {} elements", x.elements()), to_string(shape));
    shape[static_cast<size_t>(wild)] = x.elements() / known;
  }
  NARROW_TRY(Tensor y, reshape_to(node, x, shape));
  return one(std::move(y));
}

Outputs eval_flatten(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  int64_t axis = node.int_attr("axis", 1);
  if (axis < -x.rank() || axis > x.rank())
    return invalid(node, "an axis within the rank", std::to_string(axis));
  if (axis < 0) axis += x.rank();
  NARROW_TRY(Tensor y,
             reshape_to(node, x, {product(x.shape(), 0, axis), product(x.shape(), axis, x.rank())}));
  return one(std::move(y));
}

Outputs eval_squeeze(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(std::vector<int64_t> axes, int_list(node, optional_input(inputs, 1)));
  NARROW_TRY(axes, normal_axes(node, std::move(axes), x.rank()));
  Shape shape;
  for (int64_t i = 0; i < x.rank(); ++i) {
    const bool listed = std::find(axes.begin(), axes.end(), i) != axes.end();
    if (listed && x.dim(i) != 1) return invalid(node, "squeezed axes of size 1", to_string(x.shape()));
    if (!(listed || (axes.empty() && x.dim(i) == 1))) shape.push_back(x.dim(i));
  }
  NARROW_TRY(Tensor y, reshape_to(node, x, shape));
  return one(std::move(y));
}

Outputs eval_unsqueeze(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(std::vector<int64_t> axes, int_list(node, inputs[1]));
  const int64_t rank = x.rank() + static_cast<int64_t>(axes.size());
  NARROW_TRY(axes, normal_axes(node, std::move(axes), rank));
  Shape shape;
  for (int64_t i = 0, next = 0; i < rank; ++i)
    shape.push_back(std::find(axes.begin(), axes.end(), i) != axes.end() ? 1 : x.dim(next++));
  NARROW_TRY(Tensor y, reshape_to(node, x, shape));
  return one(std::move(y));
}

Outputs eval_shape(const ir::Node& node, Inputs inputs) {
  const Shape& shape = inputs[0]->shape();
  const auto rank = static_cast<int64_t>(shape.size());
  const int64_t start = clamp_position(node.int_attr("start", 0), rank);
  const int64_t end = std::max(start, clamp_position(node.int_attr("end", rank), rank));
  return one(Tensor::of({end - start}, std::vector<int64_t>(shape.begin() + start, shape.begin() + end)));
}

Outputs eval_size(const ir::Node&, Inputs inputs) { return one(Tensor::scalar(inputs[0]->elements())); }

Outputs eval_constant(const ir::Node& node, Inputs) {
  if (const Tensor* value = tensor_attr(node, "value")) return one(*value);
  if (node.has("value_float")) return one(Tensor::scalar(node.float_attr("value_float", 0)));
  if (node.has("value_int")) return one(Tensor::scalar(node.int_attr("value_int", 0)));
  if (node.has("value_ints")) {
    const std::vector<int64_t> values = node.ints_attr("value_ints");
    return one(Tensor::of({static_cast<int64_t>(values.size())}, values));
  }
  if (const auto it = node.attrs.find("value_floats"); it != node.attrs.end())
    if (const auto* values = std::get_if<std::vector<float>>(&it->second))
      return one(Tensor::of({static_cast<int64_t>(values->size())}, *values));
  return unsupported(node, "value, value_float(s) or value_int(s)", "none of them");
}

Outputs eval_constant_of_shape(const ir::Node& node, Inputs inputs) {
  NARROW_TRY(const Shape shape, int_list(node, inputs[0]));
  const Tensor* attr = tensor_attr(node, "value");
  const Tensor value = attr != nullptr ? *attr : Tensor::scalar(0.0F);
  if (value.elements() != 1) return invalid(node, "a value of one element", to_string(value.shape()));
  NARROW_TRY(Tensor y, make_tensor(node, value.dtype(), shape));
  return for_words(node, value.dtype(), [&](auto tag) -> Outputs {
    using Word = decltype(tag);
    std::fill_n(mutable_words<Word>(y), y.elements(), words<Word>(value)[0]);
    return one(std::move(y));
  });
}

/// start, start + delta, ...: ceil((limit - start) / delta) numbers.
Outputs eval_range(const ir::Node& node, Inputs inputs) {
  for (const Tensor* t : inputs)
    if (t == nullptr || t->elements() != 1 || t->dtype() != inputs[0]->dtype())
      return invalid(node, "three scalars of one type", "something else");
  return for_numbers(node, inputs[0]->dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    const T start = inputs[0]->data<T>()[0], limit = inputs[1]->data<T>()[0], delta = inputs[2]->data<T>()[0];
    const double count =
        std::ceil((static_cast<double>(limit) - static_cast<double>(start)) / static_cast<double>(delta));
    if (!(std::abs(count) < 1e15)) return invalid(node, "a finite range", fmt::format("{} numbers", count));
    NARROW_TRY(Tensor y,
               make_tensor(node, inputs[0]->dtype(), {std::max<int64_t>(0, static_cast<int64_t>(count))}));
    const auto dst = y.mutable_data<T>();
    for (size_t i = 0; i < dst.size(); ++i)
      dst[i] =
          static_cast<T>(static_cast<Sum<T>>(start) + static_cast<Sum<T>>(i) * static_cast<Sum<T>>(delta));
    return one(std::move(y));
  });
}

/// Ones where column = row + k.
Outputs eval_eye_like(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  if (x.rank() != 2) return invalid(node, "a matrix", to_string(x.shape()));
  DType type = x.dtype();
  if (node.has("dtype")) {
    NARROW_TRY(type, onnx_dtype(node, node.int_attr("dtype", 0)));
  }
  NARROW_TRY(Tensor ones, make_tensor(node, DType::u8, x.shape()));
  const int64_t k = node.int_attr("k", 0);
  for (int64_t i = 0; i < ones.elements(); ++i)
    ones.mutable_data<uint8_t>()[static_cast<size_t>(i)] = i % x.dim(1) - i / x.dim(1) == k;
  NARROW_DO(make_tensor(node, type, x.shape()));
  return one(cast(ones, type));
}

}  // namespace narrow::runtime::reference
