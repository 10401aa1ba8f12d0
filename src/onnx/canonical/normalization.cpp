// What training adds to an operator goes: BatchNormalization's statistics outputs and momentum, Dropout's
// ratio and seed. GroupNormalization 18 scales per group, 21 per channel.
#include <fmt/format.h>

#include "onnx/canonical/canonical.h"

namespace narrow::onnx {

Status rewrite_batch_normalization(Draft& draft, GraphBuilder& /*builder*/) {
  if (draft.int_attr("training_mode", 0) != 0)
    return draft.unsupported("training_mode 0", "1", "export the model for inference (model.eval())");
  if (draft.int_attr("spatial", 1) == 0) return draft.unsupported("spatial 1: statistics per channel", "0");
  draft.attrs.erase("training_mode");
  draft.attrs.erase("spatial");
  draft.attrs.erase("momentum");
  if (draft.outputs.size() > 1) draft.outputs.resize(1);
  return {};
}

Status rewrite_dropout(Draft& draft, GraphBuilder& /*builder*/) {
  if (const ir::Value* training = draft.input(2); training != nullptr) {
    const bool off = training->is_constant() && training->constant().dtype() == DType::boolean &&
                     training->constant().elements() == 1 && !training->constant().data<bool>()[0];
    if (!off)
      return draft.unsupported("training_mode false", "another value",
                               "export the model for inference (model.eval())");
  }
  if (draft.inputs.size() > 1) draft.inputs.resize(1);
  draft.attrs.clear();
  return {};
}

namespace {

constexpr int64_t kMaxChannels = 1 << 20;  // a file may claim any number; this many weights are written out

/// [groups] -> [channels], each value repeated for the channels of its group.
Result<ir::Value*> per_channel(Draft& draft, GraphBuilder& builder, size_t input, const char* role,
                               int64_t channels) {
  const ir::Value* value = draft.input(input);
  const int64_t groups = draft.int_attr("num_groups", 0);
  const bool fits = value != nullptr && value->is_constant() && value->constant().dtype() == DType::f32 &&
                    groups > 0 && channels <= kMaxChannels && value->constant().elements() == groups &&
                    channels % groups == 0;
  if (!fits)
    return draft.unsupported(fmt::format("a constant float {} of num_groups elements", role),
                             "something else", "convert the model to opset 21");
  const std::span<const float> from = value->constant().data<float>();
  std::vector<float> to;
  for (const float v : from) to.insert(to.end(), static_cast<size_t>(channels / groups), v);
  return builder.constant(draft, role, Tensor::of(Shape{channels}, to));
}

}  // namespace

Status rewrite_group_normalization(Draft& draft, GraphBuilder& builder) {
  if (draft.opset() >= 21) return {};
  const ir::Value* x = draft.input(0);
  if (x == nullptr || x->type.rank() < 2 || !x->type.dims[1].known())
    return draft.unsupported("a known number of channels", "an unknown one", "convert the model to opset 21");
  const int64_t channels = x->type.dims[1].value;
  NARROW_TRY(ir::Value * scale, per_channel(draft, builder, 1, "scale", channels));
  NARROW_TRY(ir::Value * bias, per_channel(draft, builder, 2, "bias", channels));
  draft.set_input(1, scale);
  draft.set_input(2, bias);
  return {};
}

}  // namespace narrow::onnx
