#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/ops/families.h"
#include "ir/ops/support.h"

namespace narrow::ir::ops {
namespace {

Inferred infer_identity(const NodeView& view) {
  NARROW_TRY(TensorType y, moved(view, 0, view.type(0).dims));
  y.ranked = view.type(0).ranked;
  return Types{std::move(y)};
}

Inferred infer_dropout(const NodeView& view) {
  NARROW_TRY(Types types, infer_identity(view));
  types.push_back(shaped_like(view.type(0), DType::boolean));
  return types;
}

Inferred infer_cast(const NodeView& view) {
  NARROW_TRY(const DType to, onnx_dtype_attr(view, "to", DType::undefined));
  if (to == DType::undefined) return view.error("attribute to", "none");
  return Types{shaped_like(view.type(0), to)};
}

Inferred infer_cast_like(const NodeView& view) {
  return Types{shaped_like(view.type(0), view.type(1).dtype)};
}

/// The attribute when the node has it with that type.
template <class T>
const T* attribute(const NodeView& view, const char* name) {
  const auto it = view.node().attrs.find(name);
  return it == view.node().attrs.end() ? nullptr : std::get_if<T>(&it->second);
}

template <class T>
std::optional<Shape> list_shape(const NodeView& view, const char* name) {
  const auto* list = attribute<std::vector<T>>(view, name);
  return list == nullptr ? std::nullopt : std::optional(Shape{static_cast<int64_t>(list->size())});
}

Inferred infer_constant(const NodeView& view) {
  const Tensor* value = attribute<Tensor>(view, "value");
  if (value != nullptr && value->defined()) return Types{TensorType::of(value->dtype(), value->shape())};
  if (attribute<float>(view, "value_float") != nullptr) return Types{TensorType::of(DType::f32, {})};
  if (attribute<int64_t>(view, "value_int") != nullptr) return Types{TensorType::of(DType::s64, {})};
  if (const auto shape = list_shape<float>(view, "value_floats"))
    return Types{TensorType::of(DType::f32, *shape)};
  if (const auto shape = list_shape<int64_t>(view, "value_ints"))
    return Types{TensorType::of(DType::s64, *shape)};
  return view.error("a tensor, float or integer value", "none");
}

Inferred infer_constant_of_shape(const NodeView& view) {
  DType dtype = DType::f32;
  if (view.node().has("value")) {
    const Tensor* value = attribute<Tensor>(view, "value");
    if (value == nullptr || !value->defined() || value->elements() != 1)
      return view.error("a value of one element", "another attribute");
    dtype = value->dtype();
  }
  NARROW_TRY(const auto length, vector_length(view, 0));
  const auto shape = view.ints(0);
  if (!shape) return Types{length ? ranked(dtype, unknown_dims(*length)) : TensorType::unranked(dtype)};
  for (const int64_t d : *shape)
    if (d < 0) return view.error("a shape of dims >= 0", std::to_string(d));
  return Types{TensorType::of(dtype, *shape)};
}

Inferred infer_shape(const NodeView& view) {
  if (!view.type(0).ranked) return Types{ranked(DType::s64, unknown_dims(1))};
  const int64_t rank = view.type(0).rank();
  const auto place = [&](const char* attr, int64_t fallback) {
    const int64_t at = view.node().int_attr(attr, fallback);
    return std::clamp<int64_t>(at < 0 ? std::max<int64_t>(at, -rank) + rank : at, 0, rank);
  };
  return Types{TensorType::of(DType::s64, {std::max<int64_t>(place("end", rank) - place("start", 0), 0)})};
}

Inferred infer_size(const NodeView&) { return Types{TensorType::of(DType::s64, {})}; }

/// max(ceil((limit - start) / delta), 0); nothing when delta is 0 or the number does not fit.
std::optional<int64_t> range_length(const Tensor& start, const Tensor& limit, const Tensor& delta) {
  if (is_float(start.dtype())) {
    const auto number = [](const Tensor& t) { return cast(t, DType::f64).data<double>()[0]; };
    const double n = std::ceil((number(limit) - number(start)) / number(delta));
    if (!(n < 0x1p62)) return std::nullopt;  // NaN too
    return static_cast<int64_t>(std::max(n, 0.0));
  }
  const Wide a = to_ints(start)[0], b = to_ints(limit)[0], step = to_ints(delta)[0];
  if (step == 0) return std::nullopt;
  const Wide span = step > 0 ? b - a : a - b;
  const Wide stride = step > 0 ? step : -step;
  return as_dim(span <= 0 ? 0 : (span + stride - 1) / stride);
}

Inferred infer_range(const NodeView& view) {
  NARROW_TRY(const DType dtype, common_dtype(view, {0, 1, 2}));
  const Tensor* bounds[3] = {view.constant(0), view.constant(1), view.constant(2)};
  for (const Tensor* bound : bounds) {
    if (bound == nullptr) return Types{ranked(dtype, unknown_dims(1))};
    if (bound->elements() != 1) return view.error("scalars", "shape " + narrow::to_string(bound->shape()));
  }
  const auto n = range_length(*bounds[0], *bounds[1], *bounds[2]);
  if (!n) return view.error("delta != 0 and a finite range", "another");
  return Types{TensorType::of(dtype, {*n})};
}

Inferred infer_eye_like(const NodeView& view) {
  NARROW_TRY(const DType dtype, onnx_dtype_attr(view, "dtype", view.type(0).dtype));
  NARROW_TRY(Dims dims, dims_of_rank(view, 0, 2));
  return Types{ranked(dtype, std::move(dims))};
}

}  // namespace

Schemas shape_ops() {
  const auto op = [](Op name, int since, const char* doc, std::vector<Parameter> inputs, Parameter output,
                     InferFunction infer) {
    return OpSchema{.op = name,
                    .domain = "",
                    .since = since,
                    .doc = doc,
                    .inputs = std::move(inputs),
                    .outputs = {std::move(output)},
                    .infer = infer};
  };
  OpSchema dropout =
      op(Op::Dropout, 1, "the data itself (nothing is dropped outside training)",
         {{"data", kReals}, {"ratio", kFloats, kOptional}, {"training_mode", kBool, kOptional}},
         {"output", kReals}, infer_dropout);
  dropout.outputs.push_back({"mask", kBool, kOptional});
  return {
      op(Op::Identity, 1, "the input", {{"input", kAny}}, {"output", kAny}, infer_identity),
      dropout,
      op(Op::Cast, 1, "the input as element type `to` (an ONNX type number)", {{"input", kAny}},
         {"output", kAny}, infer_cast),
      op(Op::CastLike, 15, "the input in the element type of target_type",
         {{"input", kAny}, {"target_type", kAny}}, {"output", kAny}, infer_cast_like),
      op(Op::Constant, 1, "value, value_float(s) or value_int(s)", {}, {"output", kAny}, infer_constant),
      op(Op::ConstantOfShape, 9, "a tensor of that shape filled with value (0)", {{"input", kS64}},
         {"output", kAny}, infer_constant_of_shape),
      op(Op::Shape, 1, "the dims of data from start to end", {{"data", kAny}}, {"shape", kS64}, infer_shape),
      op(Op::Size, 1, "the number of elements", {{"data", kAny}}, {"size", kS64}, infer_size),
      op(Op::Range, 11, "start, start + delta, ... below limit",
         {{"start", kNumbers}, {"limit", kNumbers}, {"delta", kNumbers}}, {"output", kNumbers}, infer_range),
      op(Op::EyeLike, 9, "ones on the k-th diagonal", {{"input", kAny}}, {"output", kAny}, infer_eye_like)};
}

}  // namespace narrow::ir::ops
