#include <fmt/format.h>

#include "ir/ops/families.h"
#include "ir/ops/support.h"

namespace narrow::ir::ops {
namespace {

constexpr DTypeSet kIntegers{DType::s8,  DType::u8,  DType::s16, DType::u16,
                             DType::s32, DType::u32, DType::s64, DType::u64};

Inferred infer_pair(const NodeView& view) {
  NARROW_TRY(const DType dtype, common_dtype(view, {0, 1}));
  NARROW_TRY(TensorType type, broadcast_inputs(view, dtype, {0, 1}));
  return Types{std::move(type)};
}

Inferred infer_shift(const NodeView& view) {
  const std::string direction = view.node().string_attr("direction", "");
  if (direction != "LEFT" && direction != "RIGHT")
    return view.error("direction LEFT or RIGHT", "'" + direction + "'");
  return infer_pair(view);
}

Inferred infer_not(const NodeView& view) { return Types{shaped_like(view.type(0), view.type(0).dtype)}; }

Inferred infer_bit_cast(const NodeView& view) {
  NARROW_TRY(const DType to, onnx_dtype_attr(view, "to", DType::undefined));
  if (to == DType::undefined || bits_of(to) != bits_of(view.type(0).dtype))
    return view.error(fmt::format("a type as wide as {}", narrow::to_string(view.type(0).dtype)),
                      narrow::to_string(to));
  return Types{shaped_like(view.type(0), to)};
}

OpSchema pair(Op op, int since, const char* doc, InferFunction infer = infer_pair) {
  return {.op = op,
          .domain = "",
          .since = since,
          .doc = doc,
          .inputs = {{"A", kIntegers}, {"B", kIntegers}},
          .outputs = {{"C", kIntegers}},
          .infer = infer};
}

OpSchema single(Op op, int since, const char* doc, DTypeSet types, InferFunction infer) {
  return {.op = op,
          .domain = "",
          .since = since,
          .doc = doc,
          .inputs = {{"X", types}},
          .outputs = {{"Y", types}},
          .infer = infer};
}

}  // namespace

Schemas bit_ops() {
  return {pair(Op::BitShift, 11, "A << B or A >> B; bits shifted by the width or more are gone", infer_shift),
          pair(Op::BitwiseAnd, 18, "A & B"),
          pair(Op::BitwiseOr, 18, "A | B"),
          pair(Op::BitwiseXor, 18, "A ^ B"),
          single(Op::BitwiseNot, 18, "~X", kIntegers, infer_not),
          single(Op::BitCast, 26, "the bits of X as another type of that width", kAny, infer_bit_cast)};
}

}  // namespace narrow::ir::ops
