// Operators that changed how they say what they do: DFT, GridSample, RoiAlign, Hardmax.
#include "onnx/canonical/canonical.h"

namespace narrow::onnx {

/// Before opset 20 the axis is an attribute, 1 by default.
Status rewrite_dft(Draft& draft, GraphBuilder& builder) {
  if (draft.opset() >= 20) return {};
  const int64_t axis = draft.take<int64_t>("axis").value_or(1);
  draft.set_input(2, builder.constant(draft, "axis", Tensor::scalar(axis)));
  return {};
}

/// Before opset 16 regions begin at pixel corners.
Status rewrite_roi_align(Draft& draft, GraphBuilder& /*builder*/) {
  if (draft.opset() < 16) draft.attrs["coordinate_transformation_mode"] = std::string("output_half_pixel");
  return {};
}

/// Before opset 13 Hardmax flattens from axis (1) on: the same as along the last axis of a matrix only.
Status rewrite_hardmax(Draft& draft, GraphBuilder& /*builder*/) {
  if (draft.opset() >= 13) return {};
  if (draft.input(0) == nullptr) return draft.invalid("an input", "none");
  const ir::TensorType& x = draft.input(0)->type;
  const int64_t axis = draft.take<int64_t>("axis").value_or(1);
  if (!x.ranked || (axis != x.rank() - 1 && axis != -1))
    return draft.unsupported("Hardmax along the last axis before opset 13", std::to_string(axis));
  return {};
}

}  // namespace narrow::onnx
