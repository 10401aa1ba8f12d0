#include <numeric>

#include "ir/ops/families.h"
#include "ir/ops/support.h"

namespace narrow::ir::ops {
namespace {

std::vector<int> all_inputs(const NodeView& view) {
  std::vector<int> all(static_cast<size_t>(view.inputs()));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

Inferred broadcast_all(const NodeView& view, DType dtype) {
  NARROW_TRY(TensorType y, broadcast_inputs(view, dtype, all_inputs(view)));
  return Types{std::move(y)};
}

Inferred infer_arithmetic(const NodeView& view) {
  NARROW_TRY(const DType dtype, common_dtype(view, all_inputs(view)));
  return broadcast_all(view, dtype);
}

Inferred infer_comparison(const NodeView& view) {
  NARROW_DO(common_dtype(view, all_inputs(view)));
  return broadcast_all(view, DType::boolean);
}

/// Base and exponent may differ in type; the result has the base's.
Inferred infer_pow(const NodeView& view) {
  NARROW_TRY(const DType dtype, out_dtype(view, view.type(0).dtype));
  return broadcast_all(view, dtype);
}

Inferred infer_where(const NodeView& view) {
  NARROW_TRY(const DType dtype, common_dtype(view, {1, 2}));
  return broadcast_all(view, dtype);
}

OpSchema binary(Op op, int since, const char* doc, DTypeSet types, InferFunction infer) {
  return {.op = op,
          .domain = "",
          .since = since,
          .doc = doc,
          .inputs = {{"A", types}, {"B", types}},
          .outputs = {{"C", infer == infer_comparison ? kBool : types}},
          .infer = infer};
}

OpSchema variadic(Op op, const char* doc) {
  return {.op = op,
          .domain = "",
          .since = 1,
          .doc = doc,
          .inputs = {{.name = "data", .types = kNumbers, .optional = false, .variadic = true}},
          .outputs = {{"C", kNumbers}},
          .infer = infer_arithmetic};
}

}  // namespace

Schemas binary_ops() {
  return {
      binary(Op::Add, 7, "A + B", kNumbers, infer_arithmetic),
      binary(Op::Sub, 7, "A - B", kNumbers, infer_arithmetic),
      binary(Op::Mul, 7, "A * B", kNumbers, infer_arithmetic),
      binary(Op::Div, 7, "A / B; integers truncate", kNumbers, infer_arithmetic),
      binary(Op::Pow, 7, "A to the power of B, in the type of A", kNumbers, infer_pow),
      binary(Op::Mod, 10, "A modulo B with the sign of B; of A with fmod = 1", kNumbers, infer_arithmetic),
      variadic(Op::Min, "smallest of the inputs"),
      variadic(Op::Max, "largest of the inputs"),
      variadic(Op::Sum, "sum of the inputs"),
      variadic(Op::Mean, "mean of the inputs"),
      binary(Op::Equal, 7, "A == B", kAny, infer_comparison),
      binary(Op::Greater, 7, "A > B", kNumbers, infer_comparison),
      binary(Op::GreaterOrEqual, 12, "A >= B", kNumbers, infer_comparison),
      binary(Op::Less, 7, "A < B", kNumbers, infer_comparison),
      binary(Op::LessOrEqual, 12, "A <= B", kNumbers, infer_comparison),
      binary(Op::And, 7, "A and B", kBool, infer_comparison),
      binary(Op::Or, 7, "A or B", kBool, infer_comparison),
      binary(Op::Xor, 7, "A != B on booleans", kBool, infer_comparison),
      {.op = Op::Where,
       .domain = "",
       .since = 9,
       .doc = "X where condition, else Y",
       .inputs = {{"condition", kBool}, {"X", kAny}, {"Y", kAny}},
       .outputs = {{"output", kAny}},
       .infer = infer_where}};
}

}  // namespace narrow::ir::ops
