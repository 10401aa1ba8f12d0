// Before opset 13, Softmax(x, axis) flattens x to [d0 * .. * d(axis-1), d(axis) * ..] and normalises each
// row. The same as today's along the last axis; otherwise  Reshape(Softmax(Flatten(x, axis), -1), Shape(x)).
#include <algorithm>

#include "onnx/canonical/canonical.h"

namespace narrow::onnx {
namespace {

/// What Reshape needs to give the shape of `x`: a constant when at most one dimension is unknown, else
/// Shape(x).
Result<ir::Value*> shape_of(const Draft& draft, GraphBuilder& builder, ir::Value& x) {
  std::vector<int64_t> dims;
  for (const ir::Dim& dim : x.type.dims) dims.push_back(dim.known() ? dim.value : -1);
  if (x.type.ranked && std::count(dims.begin(), dims.end(), -1) <= 1)
    return builder.constant_ints(draft, "shape", dims);
  return builder.add_before(draft, "shape", ir::Op::Shape, {&x});
}

}  // namespace

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
  NARROW_TRY(ir::Value * shape, shape_of(draft, builder, *x));
  draft.op = ir::Op::Reshape;
  draft.inputs = {normalised, shape};
  draft.attrs.clear();
  return {};
}

}  // namespace narrow::onnx
