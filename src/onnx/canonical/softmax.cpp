// Before opset 13, Softmax(x, axis) flattens x to [d0 * .. * d(axis-1), d(axis) * ..] and normalises each
// row. The same as today's along the last axis; otherwise  Reshape(Softmax(Flatten(x, axis), -1), Shape(x)).
#include "onnx/canonical/canonical.h"

namespace narrow::onnx {

Status rewrite_softmax(Draft& draft, GraphBuilder& builder) {
  if (draft.opset() >= 13) return {};
  ir::Value* x = draft.input(0);
  if (x == nullptr) return draft.invalid("an input", "none");
  const int64_t axis = draft.int_attr("axis", 1);
  const bool last = axis == -1 || (x->type.ranked && axis == x->type.rank() - 1);
  draft.attrs["axis"] = int64_t{-1};
  if (last) return {};
  NARROW_TRY(ir::Value * rows, builder.add_before(draft, "rows", ir::Op::Flatten, {x}, {{"axis", axis}}));
  NARROW_TRY(ir::Value * normalised, builder.add_before(draft, "normalised", draft.op, {rows}, draft.attrs));
  NARROW_TRY(ir::Value * shape, builder.add_before(draft, "shape", ir::Op::Shape, {x}));
  draft.op = ir::Op::Reshape;
  draft.inputs = {normalised, shape};
  draft.attrs.clear();
  return {};
}

}  // namespace narrow::onnx
