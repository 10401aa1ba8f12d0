// Attributes that became inputs: Clip 11, Slice 10, Split 13 (and its num_outputs, 18), Pad 11, TopK 10.
#include "onnx/canonical/canonical.h"

namespace narrow::onnx {
namespace {

using Ints = std::vector<int64_t>;

/// A scalar of the element type of the draft's first input.
Tensor scalar_like_input(const Draft& draft, float value) {
  const DType type = draft.input(0) == nullptr ? DType::undefined : draft.input(0)->type.dtype;
  return cast(Tensor::scalar(value), type == DType::undefined ? DType::f32 : type);
}

}  // namespace

Status rewrite_clip(Draft& draft, GraphBuilder& builder) {
  if (draft.opset() >= 11) return {};
  if (const auto low = draft.take<float>("min"))
    draft.set_input(1, builder.constant(draft, "min", scalar_like_input(draft, *low)));
  if (const auto high = draft.take<float>("max"))
    draft.set_input(2, builder.constant(draft, "max", scalar_like_input(draft, *high)));
  return {};
}

Status rewrite_slice(Draft& draft, GraphBuilder& builder) {
  if (draft.opset() >= 10) return {};
  const auto starts = draft.take<Ints>("starts"), ends = draft.take<Ints>("ends"),
             axes = draft.take<Ints>("axes");
  if (!starts || !ends) return draft.invalid("attributes starts and ends", "no such attributes");
  draft.set_input(1, builder.constant_ints(draft, "starts", *starts));
  draft.set_input(2, builder.constant_ints(draft, "ends", *ends));
  if (axes) draft.set_input(3, builder.constant_ints(draft, "axes", *axes));
  return {};
}

Status rewrite_split(Draft& draft, GraphBuilder& builder) {
  if (draft.opset() < 13)
    if (const auto sizes = draft.take<Ints>("split"))
      draft.set_input(1, builder.constant_ints(draft, "split", *sizes));
  if (draft.input(1) == nullptr) draft.attrs["num_outputs"] = static_cast<int64_t>(draft.outputs.size());
  return {};
}

Status rewrite_pad(Draft& draft, GraphBuilder& builder) {
  if (draft.opset() >= 11) return {};
  const auto pads = draft.take<Ints>("pads");
  const auto value = draft.take<float>("value");
  if (!pads) return draft.invalid("attribute pads", "no such attribute");
  draft.set_input(1, builder.constant_ints(draft, "pads", *pads));
  if (value && *value != 0)
    draft.set_input(2, builder.constant(draft, "value", scalar_like_input(draft, *value)));
  return {};
}

Status rewrite_top_k(Draft& draft, GraphBuilder& builder) {
  if (draft.opset() >= 10) return {};
  const auto k = draft.take<int64_t>("k");
  if (!k) return draft.invalid("attribute k", "no such attribute");
  draft.set_input(1, builder.constant_ints(draft, "k", {*k}));
  return {};
}

}  // namespace narrow::onnx
