// narrow's own operators: what the engine's passes make and its kernels run. They never appear in exported
// files.
//
// FusedConv(X, W, B?, R?)     Y = act(conv(X, W) + B + R)
//   X  [N,C,H,W], or [N,H,W,C] with channels_last = 1 (as are Y and R); other spatial ranks without
//   channels_last only. W  [O,C/group,kernel...] in either layout.   B  [O].   R  shape of Y. Attributes:
//   strides, pads, dilations, group, kernel_shape of Conv (auto_pad resolved into pads), channels_last,
//   activation (a name of kernels/activation.h, default "none") with alpha and beta, out_dtype.
//
// FusedMatMul(A, B, bias?, R?)   Y = act(A x B + bias + R)
//   A  [...,M,K].   B  [K,N], or [N,K] with transB = 1, or stacks of these that broadcast with A's.
//   bias  [N].   R  shape of Y.   Attributes: transB, activation, alpha, beta, out_dtype.
//
// On real numbers X (A) and W (B) are f32, f16 or bf16; B (bias) may be wider. Quantized:
//   X (A) is u8 or s8 with a per-tensor Quantization, W (B) s8 with one per tensor or per output channel
//   (axis 0 of W; the axis of N of B), B (bias) s32 in units of x_scale * w_scale[o]. R is quantized per
//   tensor, or real. act() sees the real value; see kernels/requantize.h for the exact arithmetic.
//
// QuantizeRows(X)   codes, scale: each row divided by  max(max |X| / 127, 1e-30),  rounded half to even, +
// 128
//   A row spans the axes from `axis` on; scale has 1 there. A row that holds NaN or Inf has scale NaN. The
//   codes' type carries the Quantization {1, 128}.
//
// QuantizeImage(X, scale, zero_point)   QuantizeLinear per tensor of X [N,C,H,W], as [N,H,W,C]
//   The codes' type, that of zero_point, carries the Quantization.
//
// out_dtype names what is stored: f32, bf16, ..., or u8/s8, and then the output value's type carries the
// Quantization: per tensor, or of a FusedConv with channels_last per channel, with one zero point, activation
// none or relu and no R (layers merged into one). Absent: as X. The same attribute says so on every other op
// that runs on quantized values.
#include <fmt/format.h>

#include "ir/ops/conv.h"
#include "ir/ops/families.h"
#include "ir/ops/matmul.h"
#include "ir/ops/support.h"

namespace narrow::ir::ops {
namespace {

/// Quantized products: x per tensor, w s8 per tensor or along `w_axis`, bias s32. Real ones: no integers.
Status check_formats(const NodeView& view, int64_t w_axis) {
  const TensorType& x = view.type(0);
  const TensorType& w = view.type(1);
  if (is_float(x.dtype)) {
    const bool real = is_float(w.dtype) && (!view.has(2) || is_float(view.type(2).dtype));
    return real ? Status()
                : view.error("floating-point operands", ir::to_string(x) + " and " + ir::to_string(w));
  }
  if (x.quant == nullptr || !x.quant->per_tensor())
    return view.error("input 0 quantized per tensor", ir::to_string(x));
  const bool fits =
      w.dtype == DType::s8 && w.quant != nullptr && (w.quant->per_tensor() || w.quant->axis == w_axis);
  if (!fits)
    return view.error(fmt::format("input 1 s8, quantized per tensor or along axis {}", w_axis),
                      narrow::to_string(w.dtype));
  if (view.has(2) && view.type(2).dtype != DType::s32)
    return view.error("a bias in s32", ir::to_string(view.type(2)));
  return {};
}

/// R has the shape of Y: dims that one of them does not know, the other tells.
Status merge_residual(const NodeView& view, Dims& y) {
  if (!view.has(3)) return {};
  const TensorType& r = view.type(3);
  if (is_integer(r.dtype) && r.quant == nullptr)
    return view.error("R quantized or floating-point", ir::to_string(r));
  NARROW_TRY(const Dims dims, dims_of_rank(view, 3, static_cast<int64_t>(y.size())));
  for (size_t i = 0; i < y.size(); ++i) {
    const auto dim = unify(y[i], dims[i]);
    if (!dim) return view.error("R of the shape " + to_string(y), to_string(dims));
    y[i] = *dim;
  }
  return {};
}

Inferred infer_fused_conv(const NodeView& view) {
  NARROW_DO(check_formats(view, 0));
  NARROW_TRY(const DType dtype, out_dtype(view, view.type(0).dtype));
  NARROW_TRY(auto dims, conv_dims(view, 0, 1));
  if (!dims) return Types{TensorType::unranked(dtype)};
  NARROW_TRY(const Layout at, layout_of(view, static_cast<int64_t>(dims->size())));
  NARROW_DO(check_vector(view, 2, dims->at(at.channel)));
  NARROW_DO(merge_residual(view, *dims));
  return Types{ranked(dtype, std::move(*dims))};
}

Inferred infer_fused_matmul(const NodeView& view) {
  const bool transpose_b = view.node().int_attr("transB", 0) != 0;
  const int64_t b_rank = view.type(1).rank();
  NARROW_DO(check_formats(view, transpose_b ? b_rank - 2 : b_rank - 1));
  NARROW_TRY(const DType dtype, out_dtype(view, view.type(0).dtype));
  for (const int operand : {0, 1})
    if (view.type(operand).ranked && view.type(operand).rank() < 2)
      return view.error("operands of rank 2 or more", ir::to_string(view.type(operand)));
  NARROW_TRY(auto dims, matmul_dims(view, 0, 1, transpose_b));
  if (!dims) return Types{TensorType::unranked(dtype)};
  NARROW_DO(check_vector(view, 2, dims->back()));
  NARROW_DO(merge_residual(view, *dims));
  return Types{ranked(dtype, std::move(*dims))};
}

Inferred infer_quantize_rows(const NodeView& view) {
  const TensorType& x = view.type(0);
  TensorType codes = shaped_like(x, DType::u8), scale = shaped_like(x, DType::f32);
  if (!x.ranked) return Types{std::move(codes), std::move(scale)};
  NARROW_TRY(const int64_t axis, normalize_axis(view, view.node().int_attr("axis", -1), x.rank()));
  for (auto i = static_cast<size_t>(axis); i < scale.dims.size(); ++i) scale.dims[i] = Dim(1);
  return Types{std::move(codes), std::move(scale)};
}

Inferred infer_quantize_image(const NodeView& view) {
  const TensorType& x = view.type(0);
  const DType dtype = view.type(2).dtype;
  if (!x.ranked) return Types{TensorType::unranked(dtype)};
  if (x.rank() != 4) return view.error("an image [N,C,H,W]", ir::to_string(x));
  return Types{ranked(dtype, {x.dims[0], x.dims[2], x.dims[3], x.dims[1]})};
}

OpSchema quantize_image() {
  return {.op = Op::QuantizeImage,
          .domain = "narrow",
          .since = 1,
          .doc = "QuantizeLinear per tensor of X [N,C,H,W], as [N,H,W,C]",
          .inputs = {{"X", {DType::f32, DType::f16, DType::bf16}},
                     {"scale", {DType::f32, DType::f16, DType::bf16}},
                     {"zero_point", {DType::u8, DType::s8}}},
          .outputs = {{"Y", {DType::u8, DType::s8}}},
          .infer = infer_quantize_image};
}

OpSchema quantize_rows() {
  return {
      .op = Op::QuantizeRows,
      .domain = "narrow",
      .since = 1,
      .doc = "codes = saturate(round_half_even(X / scale) + 128), scale = max(max |X| / 127, 1e-30) per row",
      .inputs = {{"X", {DType::f32}}},
      .outputs = {{"codes", {DType::u8}}, {"scale", {DType::f32}}},
      .infer = infer_quantize_rows};
}

OpSchema fused(Op op, const char* doc, std::vector<std::string> names, InferFunction infer) {
  constexpr DTypeSet bias{DType::f32, DType::f64, DType::f16, DType::bf16, DType::s32};
  return {.op = op,
          .domain = "narrow",
          .since = 1,
          .doc = doc,
          .inputs = {{names[0], kReals},
                     {names[1], kReals},
                     {names[2], bias, kOptional},
                     {"R", kReals, kOptional}},
          .outputs = {{"Y", kReals}},
          .infer = infer};
}

}  // namespace

Schemas fused_ops() {
  return {fused(Op::FusedConv, "act(conv(X, W) + B + R)", {"X", "W", "B"}, infer_fused_conv),
          fused(Op::FusedMatMul, "act(A x B + bias + R)", {"A", "B", "bias"}, infer_fused_matmul),
          quantize_rows(), quantize_image()};
}

}  // namespace narrow::ir::ops
