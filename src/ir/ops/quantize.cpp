#include <fmt/format.h>

#include "ir/ops/conv.h"
#include "ir/ops/families.h"
#include "ir/ops/matmul.h"
#include "ir/ops/support.h"

namespace narrow::ir::ops {
namespace {

constexpr DTypeSet kQuantized{DType::u8,         DType::s8,     DType::u16,       DType::s16,
                              DType::u4,         DType::s4,     DType::u2,        DType::s2,
                              DType::f4e2m1,     DType::f6e2m3, DType::f6e3m2,    DType::f8e4m3fn,
                              DType::f8e4m3fnuz, DType::f8e5m2, DType::f8e5m2fnuz};

/// Scale (or zero point) i of x: a scalar or [1], a number per index along axis, or, with block_size, one per
/// block.
Status check_parameter(const NodeView& view, int i) {
  if (!view.has(i) || !view.type(i).ranked || !view.type(0).ranked) return {};
  const TensorType& x = view.type(0);
  const Dims& dims = view.type(i).dims;
  if (dims.empty() || (dims.size() == 1 && dims[0] == Dim(1))) return {};
  NARROW_TRY(const int64_t axis, normalize_axis(view, view.node().int_attr("axis", 1), x.rank()));
  const int64_t block = view.node().int_attr("block_size", 0);
  if (block < 0) return view.error("block_size >= 0", std::to_string(block));
  bool fits = block == 0 ? dims.size() == 1 && unify(dims[0], x.dims[static_cast<size_t>(axis)])
                         : dims.size() == x.dims.size();
  for (size_t k = 0; fits && block > 0 && k < dims.size(); ++k) {
    const bool blocked = static_cast<int64_t>(k) == axis && x.dims[k].known();
    const int64_t n = x.dims[k].value;
    fits = unify(dims[k], blocked ? Dim(n / block + (n % block != 0 ? 1 : 0)) : x.dims[k]).has_value();
  }
  if (fits) return {};
  return view.error(
      fmt::format("input {}: one number, one per index along axis {}, or one per block", i, axis),
      ir::to_string(view.type(i)) + " for " + ir::to_string(x));
}

/// output_dtype, 0 like absent.
Result<DType> stated_dtype(const NodeView& view, DType otherwise) {
  if (view.node().int_attr("output_dtype", 0) == 0) return otherwise;
  return onnx_dtype_attr(view, "output_dtype", otherwise);
}

Inferred infer_quantize(const NodeView& view) {
  NARROW_DO(check_parameter(view, 1));
  NARROW_DO(check_parameter(view, 2));
  const DType zero_point = view.has(2) ? view.type(2).dtype : DType::undefined;
  NARROW_TRY(const DType dtype, stated_dtype(view, view.has(2) ? zero_point : DType::u8));
  if ((view.has(2) && zero_point != dtype) || !kQuantized.contains(dtype))
    return view.error("output_dtype a quantized type like the zero point's", narrow::to_string(dtype));
  return Types{shaped_like(view.type(0), dtype)};
}

Inferred infer_dequantize(const NodeView& view) {
  NARROW_DO(check_parameter(view, 1));
  NARROW_DO(check_parameter(view, 2));
  if (view.has(2) && view.type(2).dtype != view.type(0).dtype)
    return view.error("a zero point of the input's type", narrow::to_string(view.type(2).dtype));
  NARROW_TRY(const DType dtype, stated_dtype(view, view.type(1).dtype));
  if (!kFloats.contains(dtype))
    return view.error("output_dtype f32, f16 or bf16 when the scale has none of them",
                      narrow::to_string(dtype));
  return Types{shaped_like(view.type(0), dtype)};
}

Inferred infer_dynamic_quantize(const NodeView& view) {
  return Types{shaped_like(view.type(0), DType::u8), TensorType::of(DType::f32, {}),
               TensorType::of(DType::u8, {})};
}

Types typed(DType dtype, const std::optional<Dims>& dims) {
  return Types{dims ? ranked(dtype, *dims) : TensorType::unranked(dtype)};
}

Inferred infer_qlinear_conv(const NodeView& view) {
  NARROW_TRY(const auto dims, conv_dims(view, 0, 3));
  if (dims && view.has(8))
    NARROW_DO(check_vector(view, 8, view.type(3).ranked ? view.type(3).dims[0] : Dim()));
  return typed(view.type(7).dtype, dims);
}

Inferred infer_qlinear_matmul(const NodeView& view) {
  NARROW_TRY(const auto dims, matmul_dims(view, 0, 3));
  return typed(view.type(7).dtype, dims);
}

Inferred infer_conv_integer(const NodeView& view) {
  NARROW_TRY(const auto dims, conv_dims(view, 0, 1));
  return typed(DType::s32, dims);
}

Inferred infer_matmul_integer(const NodeView& view) {
  NARROW_TRY(const auto dims, matmul_dims(view, 0, 1));
  return typed(DType::s32, dims);
}

constexpr DTypeSet kQuantizable = kFloats.with({DType::s32});
constexpr DTypeSet kDequantizable = kQuantized.with({DType::s32});

OpSchema quantize_linear() {
  return {
      .op = Op::QuantizeLinear,
      .domain = "",
      .since = 10,
      .doc = "y = saturate(round_half_even(x / y_scale) + y_zero_point), per tensor, along axis or in blocks",
      .inputs = {{"x", kQuantizable},
                 {"y_scale", kQuantizable.with({DType::f8e8m0})},
                 {"y_zero_point", kQuantized, kOptional}},
      .outputs = {{"y", kQuantized}},
      .infer = infer_quantize};
}

OpSchema dequantize_linear() {
  return {.op = Op::DequantizeLinear,
          .domain = "",
          .since = 10,
          .doc = "y = (x - x_zero_point) * x_scale, per tensor, along axis or in blocks",
          .inputs = {{"x", kDequantizable},
                     {"x_scale", kFloats.with({DType::f8e8m0})},
                     {"x_zero_point", kDequantizable, kOptional}},
          .outputs = {{"y", kFloats}},
          .infer = infer_dequantize};
}

OpSchema dynamic_quantize_linear() {
  return {.op = Op::DynamicQuantizeLinear,
          .domain = "",
          .since = 11,
          .doc = "QuantizeLinear to u8 with the range of x itself, widened to hold 0",
          .inputs = {{"x", kF32}},
          .outputs = {{"y", kU8}, {"y_scale", kF32}, {"y_zero_point", kU8}},
          .infer = infer_dynamic_quantize};
}

OpSchema qlinear_conv() {
  return {
      .op = Op::QLinearConv,
      .domain = "",
      .since = 10,
      .doc =
          "QuantizeLinear(Conv(dequantized x, dequantized w, B * x_scale * w_scale)), accumulated in int32",
      .inputs = {{"x", kInt8},
                 {"x_scale", kF32},
                 {"x_zero_point", kInt8},
                 {"w", kInt8},
                 {"w_scale", kF32},
                 {"w_zero_point", kInt8},
                 {"y_scale", kF32},
                 {"y_zero_point", kInt8},
                 {"B", kS32, kOptional}},
      .outputs = {{"y", kInt8}},
      .infer = infer_qlinear_conv};
}

OpSchema qlinear_matmul() {
  return {.op = Op::QLinearMatMul,
          .domain = "",
          .since = 10,
          .doc = "QuantizeLinear(dequantized a x dequantized b), accumulated in int32",
          .inputs = {{"a", kInt8},
                     {"a_scale", kFloats},
                     {"a_zero_point", kInt8},
                     {"b", kInt8},
                     {"b_scale", kFloats},
                     {"b_zero_point", kInt8},
                     {"y_scale", kFloats},
                     {"y_zero_point", kInt8}},
          .outputs = {{"y", kInt8}},
          .infer = infer_qlinear_matmul};
}

OpSchema integer_product(Op op, const char* doc, const char* a, const char* b, InferFunction infer) {
  return {.op = op,
          .domain = "",
          .since = 10,
          .doc = doc,
          .inputs = {{a, kInt8},
                     {b, kInt8},
                     {std::string(a) + "_zero_point", kInt8, kOptional},
                     {std::string(b) + "_zero_point", kInt8, kOptional}},
          .outputs = {{"y", kS32}},
          .infer = infer};
}

}  // namespace

Schemas quantize_ops() {
  return {quantize_linear(),
          dequantize_linear(),
          dynamic_quantize_linear(),
          qlinear_conv(),
          qlinear_matmul(),
          integer_product(Op::ConvInteger, "Conv(x - x_zero_point, w - w_zero_point) in int32", "x", "w",
                          infer_conv_integer),
          integer_product(Op::MatMulInteger, "(A - a_zero_point) x (B - b_zero_point) in int32", "A", "B",
                          infer_matmul_integer)};
}

}  // namespace narrow::ir::ops
