// The com.microsoft operators that ONNX Runtime's quantizer writes (QOperator form). Each dequantizes its
// inputs, computes the float op and quantizes the result with y_scale and y_zero_point (absent: 0).
#include "ir/ops/families.h"
#include "ir/ops/matmul.h"
#include "ir/ops/movement.h"
#include "ir/ops/pool.h"
#include "ir/ops/support.h"

namespace narrow::ir::ops {
namespace {

const char* const kDomain = "com.microsoft";

Types typed(DType dtype, const std::optional<Dims>& dims) {
  return Types{dims ? ranked(dtype, *dims) : TensorType::unranked(dtype)};
}

Inferred infer_same(const NodeView& view) { return Types{shaped_like(view.type(0), view.type(0).dtype)}; }

Inferred infer_softmax(const NodeView& view) {
  if (view.type(0).ranked && view.type(0).rank() > 0)
    NARROW_DO(normalize_axis(view, view.node().int_attr("axis", -1), view.type(0).rank()));
  return infer_same(view);
}

Inferred infer_binary(const NodeView& view) {
  NARROW_TRY(const DType dtype, common_dtype(view, {0, 3}));
  NARROW_TRY(TensorType y, broadcast_inputs(view, dtype, {0, 3}));
  return Types{std::move(y)};
}

/// Inputs: y_scale, y_zero_point, then tensor, scale, zero point of each part.
Inferred infer_concat(const NodeView& view) {
  if (view.inputs() < 5 || (view.inputs() - 2) % 3 != 0)
    return view.error("a tensor, scale and zero point per part", std::to_string(view.inputs()) + " inputs");
  std::vector<int> parts;
  for (int i = 2; i < view.inputs(); i += 3) {
    for (int k = i; k < i + 3; ++k)
      if (!view.has(k)) return view.error("a tensor, scale and zero point per part", "an absent input");
    parts.push_back(i);
  }
  NARROW_DO(common_dtype(view, parts));
  NARROW_TRY(const auto dims, concat_dims(view, parts));
  return typed(view.type(1).dtype, dims);
}

Inferred infer_average_pool(const NodeView& view) {
  NARROW_TRY(const auto dims, pool_dims(view, 0));
  return typed(view.type(0).dtype, dims);
}

Inferred infer_global_average_pool(const NodeView& view) {
  NARROW_TRY(const auto dims, global_pool_dims(view, 0));
  return typed(view.type(0).dtype, dims);
}

/// Without y_scale and y_zero_point the result is float.
Inferred infer_gemm(const NodeView& view) {
  NARROW_TRY(const Dims y, gemm_dims(view, 0, 3));
  if (view.has(6) && view.type(6).ranked) NARROW_DO(broadcasts_to(view, view.type(6).dims, y));
  return Types{ranked(view.has(8) ? view.type(8).dtype : DType::f32, y)};
}

OpSchema op(Op name, const char* doc, std::vector<Parameter> inputs, InferFunction infer) {
  return {.op = name,
          .domain = kDomain,
          .since = 1,
          .doc = doc,
          .inputs = std::move(inputs),
          .outputs = {{"Y", kInt8}},
          .infer = infer};
}

OpSchema unary(Op name, const char* doc, InferFunction infer) {
  return op(name, doc,
            {{"X", kInt8},
             {"x_scale", kF32},
             {"x_zero_point", kInt8, kOptional},
             {"y_scale", kF32},
             {"y_zero_point", kInt8, kOptional}},
            infer);
}

OpSchema binary(Op name, const char* doc) {
  return op(name, doc,
            {{"A", kInt8},
             {"a_scale", kF32},
             {"a_zero_point", kInt8, kOptional},
             {"B", kInt8},
             {"b_scale", kF32},
             {"b_zero_point", kInt8, kOptional},
             {"y_scale", kF32},
             {"y_zero_point", kInt8, kOptional}},
            infer_binary);
}

}  // namespace

Schemas qlinear_ops() {
  OpSchema gemm = op(Op::QGemm, "Gemm on dequantized A and B; C is s32 in units of alpha * a_scale * b_scale",
                     {{"A", kInt8},
                      {"a_scale", kF32},
                      {"a_zero_point", kInt8},
                      {"B", kInt8},
                      {"b_scale", kF32},
                      {"b_zero_point", kInt8},
                      {"C", kS32, kOptional},
                      {"y_scale", kF32, kOptional},
                      {"y_zero_point", kInt8, kOptional}},
                     infer_gemm);
  gemm.outputs = {{"Y", {DType::f32, DType::u8, DType::s8}}};
  return {binary(Op::QLinearAdd, "A + B on dequantized inputs, quantized"),
          binary(Op::QLinearMul, "A * B on dequantized inputs, quantized"),
          op(Op::QLinearConcat, "the parts, requantized, along axis",
             {{"y_scale", kF32},
              {"y_zero_point", kInt8},
              {.name = "parts",
               .types = {DType::u8, DType::s8, DType::f32},
               .optional = false,
               .variadic = true}},
             infer_concat),
          unary(Op::QLinearGlobalAveragePool, "mean over the spatial axes, requantized",
                infer_global_average_pool),
          unary(Op::QLinearAveragePool, "mean of each window, requantized", infer_average_pool),
          unary(Op::QLinearSigmoid, "sigmoid of dequantized X, quantized", infer_same),
          unary(Op::QLinearLeakyRelu, "LeakyRelu of dequantized X, quantized", infer_same),
          unary(Op::QLinearSoftmax, "softmax of dequantized X along axis, quantized", infer_softmax),
          gemm};
}

}  // namespace narrow::ir::ops
