// Type conversion, and ops that pass their input on.
#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {

Outputs eval_identity(const ir::Node&, Inputs inputs) { return one(*inputs[0]); }

/// Inference: the identity, and a mask that keeps everything.
Outputs eval_dropout(const ir::Node& node, Inputs inputs) {
  const Tensor* training = optional_input(inputs, 2);
  if (training != nullptr && training->dtype() == DType::boolean && training->elements() == 1 &&
      training->data<bool>()[0])
    return unsupported(node, "inference", "training_mode = true");
  if (node.outputs().size() < 2) return one(*inputs[0]);
  NARROW_TRY(Tensor mask, make_tensor(node, DType::boolean, inputs[0]->shape()));
  std::ranges::fill(mask.mutable_data<bool>(), true);
  return std::vector<Tensor>{*inputs[0], std::move(mask)};
}

/// Attributes saturate and round_mode.
static Result<CastOptions> cast_options(const ir::Node& node) {
  CastOptions options;
  if (node.int_attr("saturate", 1) == 0) options.overflow = Overflow::special;
  const std::string mode = node.string_attr("round_mode", "up");
  if (mode == "down")
    options.rounding = ScaleRounding::down;
  else if (mode == "nearest")
    options.rounding = ScaleRounding::nearest;
  else if (mode != "up")
    return invalid(node, "round_mode up, down or nearest", "'" + mode + "'");
  return options;
}

Outputs eval_cast(const ir::Node& node, Inputs inputs) {
  DType to = node.output()->type.dtype;
  if (node.has("to")) {
    NARROW_TRY(to, onnx_dtype(node, node.int_attr("to", 0)));
  }
  NARROW_DO(make_tensor(node, to, inputs[0]->shape()));
  NARROW_TRY(const CastOptions options, cast_options(node));
  return one(cast(*inputs[0], to, options));
}

Outputs eval_cast_like(const ir::Node& node, Inputs inputs) {
  NARROW_DO(make_tensor(node, inputs[1]->dtype(), inputs[0]->shape()));
  NARROW_TRY(const CastOptions options, cast_options(node));
  return one(cast(*inputs[0], inputs[1]->dtype(), options));
}

}  // namespace narrow::runtime::reference
