#include <utility>

#include "ir/ops/families.h"
#include "ir/ops/support.h"

namespace narrow::ir::ops {
namespace {

/// Functions of real numbers.
Inferred infer_real(const NodeView& view) {
  NARROW_TRY(const DType dtype, real_dtype(view, {0}));
  return Types{shaped_like(view.type(0), dtype)};
}

/// Functions of any numbers.
Inferred infer_number(const NodeView& view) {
  NARROW_TRY(const DType dtype, common_dtype(view, {0}));
  return Types{shaped_like(view.type(0), dtype)};
}

Inferred infer_bool(const NodeView& view) { return Types{shaped_like(view.type(0), DType::boolean)}; }

Inferred infer_clip(const NodeView& view) {
  NARROW_TRY(const DType dtype, common_dtype(view, {0, 1, 2}));
  for (const int bound : {1, 2})
    if (view.has(bound) && view.type(bound).ranked && product(view.type(bound).dims).value_or(1) != 1)
      return view.error("scalar bounds", ir::to_string(view.type(bound)));
  return Types{shaped_like(view.type(0), dtype)};
}

Inferred infer_prelu(const NodeView& view) {
  NARROW_TRY(const DType dtype, common_dtype(view, {0, 1}));
  if (view.type(0).ranked && view.type(1).ranked)
    NARROW_DO(broadcasts_to(view, view.type(1).dims, view.type(0).dims));
  return Types{shaped_like(view.type(0), dtype)};
}

Inferred infer_swiglu(const NodeView& view) {
  NARROW_TRY(const DType dtype, common_dtype(view, {0, 1}));
  if (view.type(0).ranked && view.type(1).ranked)
    NARROW_DO(broadcasts_to(view, view.type(1).dims, view.type(0).dims));
  return Types{shaped_like(view.type(0), dtype)};
}

OpSchema unary(Op op, int since, const char* doc, DTypeSet types, InferFunction infer) {
  return {.op = op,
          .domain = "",
          .since = since,
          .doc = doc,
          .inputs = {{"X", types}},
          .outputs = {{"Y", infer == infer_bool ? kBool : types}},
          .infer = infer};
}
OpSchema real(Op op, int since, const char* doc) { return unary(op, since, doc, kReals, infer_real); }
OpSchema number(Op op, int since, const char* doc) { return unary(op, since, doc, kNumbers, infer_number); }

}  // namespace

Schemas unary_ops() {
  OpSchema clip =
      unary(Op::Clip, 1, "min(max(X, min), max); an absent bound does not bound", kNumbers, infer_clip);
  clip.inputs.push_back({"min", kNumbers, kOptional});
  clip.inputs.push_back({"max", kNumbers, kOptional});
  OpSchema prelu =
      unary(Op::PRelu, 1, "X where X >= 0, else slope * X; slope broadcasts to X", kNumbers, infer_prelu);
  prelu.inputs.push_back({"slope", kNumbers});
  OpSchema swiglu = unary(Op::SwiGLU, 28, "A / (1 + exp(-alpha * A)) * B", kFloats, infer_swiglu);
  swiglu.inputs = {{"A", kFloats}, {"B", kFloats}};
  return {
      std::move(clip),
      std::move(prelu),
      number(Op::Relu, 1, "max(X, 0)"),
      real(Op::LeakyRelu, 1, "X where X >= 0, else alpha * X"),
      real(Op::Elu, 1, "X where X >= 0, else alpha * (exp(X) - 1)"),
      real(Op::Selu, 1, "gamma * (X where X > 0, else alpha * (exp(X) - 1))"),
      real(Op::Celu, 12, "max(0, X) + min(0, alpha * (exp(X / alpha) - 1))"),
      real(Op::ThresholdedRelu, 10, "X where X > alpha, else 0"),
      real(Op::Sigmoid, 1, "1 / (1 + exp(-X))"),
      real(Op::HardSigmoid, 1, "max(0, min(1, alpha * X + beta))"),
      real(Op::HardSwish, 14, "X * max(0, min(1, X / 6 + 0.5))"),
      real(Op::Swish, 24, "X / (1 + exp(-alpha * X))"),
      real(Op::Mish, 18, "X * tanh(log(1 + exp(X)))"),
      real(Op::Tanh, 1, "tanh(X)"),
      real(Op::Gelu, 20, "0.5 * X * (1 + erf(X / sqrt(2))), or its tanh approximation"),
      real(Op::Softplus, 1, "log(1 + exp(X))"),
      real(Op::Softsign, 1, "X / (1 + |X|)"),
      real(Op::Exp, 1, "exp(X)"),
      real(Op::Log, 1, "natural logarithm of X"),
      real(Op::Sqrt, 1, "square root of X"),
      real(Op::Reciprocal, 1, "1 / X"),
      number(Op::Abs, 1, "|X|"),
      number(Op::Neg, 1, "-X"),
      number(Op::Sign, 9, "-1, 0 or 1 as X is negative, zero or positive"),
      real(Op::Floor, 1, "largest integer <= X"),
      real(Op::Ceil, 1, "smallest integer >= X"),
      real(Op::Round, 11, "nearest integer, halves to even"),
      number(Op::Erf, 9, "error function of X"),
      real(Op::Sin, 7, "sin(X)"),
      real(Op::Cos, 7, "cos(X)"),
      real(Op::Tan, 7, "tan(X)"),
      real(Op::Atan, 7, "arc tangent of X"),
      real(Op::Asin, 7, "arc sine of X"),
      real(Op::Acos, 7, "arc cosine of X"),
      real(Op::Sinh, 9, "hyperbolic sine of X"),
      real(Op::Cosh, 9, "hyperbolic cosine of X"),
      real(Op::Asinh, 9, "inverse hyperbolic sine of X"),
      real(Op::Acosh, 9, "inverse hyperbolic cosine of X"),
      real(Op::Atanh, 9, "inverse hyperbolic tangent of X"),
      number(Op::Shrink, 9, "X + bias where X < -lambd, X - bias where X > lambd, else 0"),
      swiglu,
      unary(Op::Not, 1, "logical negation", kBool, infer_bool),
      unary(Op::IsNaN, 9, "whether X is NaN", kFloats, infer_bool),
      unary(Op::IsInf, 10, "whether X is infinite (detect_negative, detect_positive)", kFloats, infer_bool),
  };
}

}  // namespace narrow::ir::ops
