// Constant in all its spellings, and the attributes that matter only to 8-bit floats (saturate, round_mode):
// kept where they say something.

#include "ir/onnx_types.h"
#include "onnx/canonical/canonical.h"
#include "onnx/tensors.h"

namespace narrow::onnx {
namespace {

std::optional<Tensor> constant_value(Draft& draft) {
  if (auto tensor = draft.take<Tensor>("value")) return tensor;
  if (auto f = draft.take<float>("value_float")) return Tensor::scalar(*f);
  if (auto i = draft.take<int64_t>("value_int")) return Tensor::scalar(*i);
  if (auto floats = draft.take<std::vector<float>>("value_floats"))
    return Tensor::of(Shape{static_cast<int64_t>(floats->size())}, *floats);
  if (auto ints = draft.take<std::vector<int64_t>>("value_ints"))
    return Tensor::of(Shape{static_cast<int64_t>(ints->size())}, *ints);
  return std::nullopt;
}

}  // namespace

Status rewrite_constant(Draft& draft, GraphBuilder& builder) {
  std::optional<Tensor> tensor = constant_value(draft);
  if (!tensor && !draft.attrs.empty())
    return draft.unsupported("a dense tensor or numbers", "attribute '" + draft.attrs.begin()->first + "'");
  if (!tensor || draft.outputs.size() != 1 || draft.outputs[0].empty())
    return draft.invalid("one value and one output", "something else");
  builder.define(draft.outputs[0], builder.graph.add_constant(draft.outputs[0], std::move(*tensor)));
  draft.done = true;
  return {};
}

namespace {

void drop_defaults(Draft& draft) {
  if (draft.int_attr("saturate", 1) != 0) draft.attrs.erase("saturate");
  if (draft.string_attr("round_mode") == "up") draft.attrs.erase("round_mode");
}

}  // namespace

Status rewrite_cast(Draft& draft, GraphBuilder& /*builder*/) {
  const int64_t to = draft.int_attr("to", 0);
  const auto type = ir::dtype_of_onnx(to);
  if (!type) return draft.unsupported("a cast to a type narrow has tensors of", element_type_name(to));
  drop_defaults(draft);
  if (is_narrow_float(*type)) return {};
  draft.attrs.erase("saturate");
  draft.attrs.erase("round_mode");
  return {};
}

Status rewrite_cast_like(Draft& draft, GraphBuilder& /*builder*/) {
  drop_defaults(draft);
  return {};
}

Status rewrite_quantize_linear(Draft& draft, GraphBuilder& /*builder*/) {
  drop_defaults(draft);
  return {};
}

Status rewrite_attention(Draft& draft, GraphBuilder& /*builder*/) {  // opset 25 added windows
  for (const char* window : {"left_window_size", "right_window_size"})
    if (draft.int_attr(window, -1) >= 0) return draft.unsupported("attention without a window", window);
  draft.attrs.erase("left_window_size");
  draft.attrs.erase("right_window_size");
  return {};
}

}  // namespace narrow::onnx
