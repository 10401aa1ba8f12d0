// Squeeze, Unsqueeze, ReduceSum before opset 13 and the other reductions before 18: attribute `axes` ->
// second input.
#include "onnx/canonical/canonical.h"

namespace narrow::onnx {

Status rewrite_axes(Draft& draft, GraphBuilder& builder) {
  const auto axes = draft.take<std::vector<int64_t>>("axes");
  if (!axes) return {};
  if (draft.input(1) != nullptr) return draft.invalid("axes once", "axes as attribute and as input");
  draft.set_input(1, builder.constant_ints(draft, "axes", *axes));
  return {};
}

}  // namespace narrow::onnx
