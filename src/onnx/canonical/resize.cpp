// Upsample 7 (scales as attribute), Upsample 9 and Resize 10 (X, scales) -> Resize (X, roi, scales, sizes).
// The old forms place samples at x / scale and, for nearest, take the one at or below
// when they enlarge and the one at or above when they shrink. From 11 on, an empty
// tensor stands for an input that is absent.
#include <cmath>

#include "onnx/canonical/canonical.h"

namespace narrow::onnx {
namespace {

/// floor or ceil, for constant scales; one mode must do for all axes. Scales nobody knows yet count as
/// enlarging.
Result<std::string> old_nearest_mode(const Draft& draft, const ir::Value& scales) {
  bool enlarges = false, shrinks = false;
  if (scales.is_constant())
    for (const float scale : to_floats(scales.constant())) {
      enlarges = enlarges || scale > 1;
      shrinks =
          shrinks || (scale < 1 && std::floor(1 / scale) * scale != 1);  // by 2, 4, ...: both modes agree
    }
  if (enlarges && shrinks) return draft.unsupported("nearest scales all >= 1 or all <= 1", "both");
  return std::string(shrinks ? "ceil" : "floor");
}

Status to_asymmetric(Draft& draft, ir::Value* scales) {
  if (scales == nullptr) return draft.invalid("scales", "none");
  const auto mode = draft.take<std::string>("mode").value_or("nearest");
  if (mode != "nearest" && mode != "linear" && mode != "bilinear")
    return draft.unsupported("mode nearest or linear", "'" + mode + "'");
  draft.attrs["mode"] = std::string(mode == "nearest" ? "nearest" : "linear");
  draft.attrs["coordinate_transformation_mode"] = std::string("asymmetric");
  if (mode == "nearest") {
    NARROW_TRY(draft.attrs["nearest_mode"], old_nearest_mode(draft, *scales));
  }
  draft.inputs = {draft.input(0), nullptr, scales};
  return {};
}

}  // namespace

Status rewrite_upsample(Draft& draft, GraphBuilder& builder) {
  if (draft.opset() >= 10) return draft.invalid("Resize, which took its place in opset 10", "Upsample");
  if (draft.opset() >= 9) return to_asymmetric(draft, draft.input(1));
  const auto scales = draft.take<std::vector<float>>("scales");
  if (!scales) return draft.invalid("attribute scales", "no such attribute");
  const Shape shape{static_cast<int64_t>(scales->size())};
  return to_asymmetric(draft, builder.constant(draft, "scales", Tensor::of(shape, *scales)));
}

Status rewrite_resize(Draft& draft, GraphBuilder& /*builder*/) {
  if (draft.opset() < 11) return to_asymmetric(draft, draft.input(1));
  for (size_t i = 1; i < draft.inputs.size(); ++i) {
    const ir::Value* input = draft.inputs[i];
    if (input != nullptr && input->is_constant() && input->constant().elements() == 0)
      draft.inputs[i] = nullptr;
  }
  if (draft.string_attr("coordinate_transformation_mode") == "tf_half_pixel_for_nn")
    return draft.unsupported("a coordinate_transformation_mode that opset 13 has", "tf_half_pixel_for_nn");
  return {};
}

}  // namespace narrow::onnx
