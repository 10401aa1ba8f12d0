#include <fmt/format.h>

#include "ir/ops/conv.h"
#include "ir/ops/families.h"
#include "ir/ops/support.h"

namespace narrow::ir::ops {
namespace {

Inferred same_as_input(const NodeView& view) {
  NARROW_TRY(const DType dtype, real_dtype(view, {0}));
  return Types{shaped_like(view.type(0), dtype)};
}

/// Number of channels of X, unknown when X is unranked.
Result<Dim> channels_of(const NodeView& view) {
  const TensorType& x = view.type(0);
  if (!x.ranked || x.rank() == 1) return Dim();
  NARROW_TRY(const Layout at, layout_of(view, x.rank()));
  return x.dims[at.channel];
}

Inferred infer_batch_norm(const NodeView& view) {
  NARROW_TRY(const Dim channels, channels_of(view));
  for (const int parameter : {1, 2, 3, 4}) NARROW_DO(check_vector(view, parameter, channels));
  NARROW_TRY(Types types, same_as_input(view));
  types.push_back(shaped_like(view.type(3), view.type(3).dtype));
  types.push_back(shaped_like(view.type(4), view.type(4).dtype));
  return types;
}

Inferred infer_per_channel_norm(const NodeView& view) {
  NARROW_TRY(const Dim channels, channels_of(view));
  NARROW_DO(check_vector(view, 1, channels));
  NARROW_DO(check_vector(view, 2, channels));
  const int64_t groups = view.node().int_attr("num_groups", 1);
  if (groups < 1 || (channels.known() && channels.value % groups != 0))
    return view.error(fmt::format("num_groups that divides {} channels", ir::to_string(channels)),
                      std::to_string(groups));
  return same_as_input(view);
}

/// LayerNormalization and RMSNormalization: statistics over the axes from `axis` on.
Inferred infer_layer_norm(const NodeView& view) {
  NARROW_TRY(Types types, same_as_input(view));
  TensorType statistics = TensorType::unranked(DType::f32);
  const TensorType& x = view.type(0);
  if (x.ranked) {
    NARROW_TRY(const int64_t axis, normalize_axis(view, view.node().int_attr("axis", -1), x.rank()));
    for (const int parameter : {1, 2})
      if (view.has(parameter) && view.type(parameter).ranked)
        NARROW_DO(broadcasts_to(view, view.type(parameter).dims, x.dims));
    Dims dims = x.dims;
    for (size_t i = static_cast<size_t>(axis); i < dims.size(); ++i) dims[i] = Dim(1);
    statistics = ranked(DType::f32, std::move(dims));
  }
  types.push_back(statistics);
  types.push_back(statistics);
  return types;
}

Inferred infer_lrn(const NodeView& view) {
  if (view.node().int_attr("size", 0) < 1)
    return view.error("size >= 1", std::to_string(view.node().int_attr("size", 0)));
  return same_as_input(view);
}

Inferred infer_lp_norm(const NodeView& view) {
  if (view.type(0).ranked)
    NARROW_DO(normalize_axis(view, view.node().int_attr("axis", -1), view.type(0).rank()));
  return same_as_input(view);
}

Inferred infer_mean_variance(const NodeView& view) {
  if (view.type(0).ranked)
    NARROW_DO(normalize_axes(view, view.node().ints_attr("axes", {0, 2, 3}), view.type(0).rank()));
  return same_as_input(view);
}

OpSchema norm(Op op, int since, const char* doc, std::vector<Parameter> parameters, InferFunction infer) {
  OpSchema schema{.op = op,
                  .domain = "",
                  .since = since,
                  .doc = doc,
                  .inputs = {{"X", kReals}},
                  .outputs = {{"Y", kReals}},
                  .infer = infer};
  for (Parameter& p : parameters) schema.inputs.push_back(std::move(p));
  return schema;
}

}  // namespace

Schemas norm_ops() {
  const Parameter scale{"scale", kFloats}, bias{"B", kFloats}, maybe_bias{"B", kFloats, kOptional};
  OpSchema batch =
      norm(Op::BatchNormalization, 1, "(X - mean) / sqrt(var + epsilon) * scale + B, per channel",
           {scale, bias, {"mean", kFloats}, {"var", kFloats}}, infer_batch_norm);
  batch.outputs.push_back({"running_mean", kFloats, kOptional});
  batch.outputs.push_back({"running_var", kFloats, kOptional});
  OpSchema layer = norm(Op::LayerNormalization, 17,
                        "(X - mean) / sqrt(var + epsilon) * scale + B over the axes from axis on",
                        {scale, maybe_bias}, infer_layer_norm);
  layer.outputs.push_back({"Mean", kFloats, kOptional});
  layer.outputs.push_back({"InvStdDev", kFloats, kOptional});
  return {
      batch,
      layer,
      norm(Op::RMSNormalization, 23, "X / sqrt(mean(X^2) + epsilon) * scale over the axes from axis on",
           {scale}, infer_layer_norm),
      norm(Op::InstanceNormalization, 1,
           "(X - mean) / sqrt(var + epsilon) * scale + B per sample and channel", {scale, bias},
           infer_per_channel_norm),
      norm(Op::GroupNormalization, 21,
           "InstanceNormalization over groups of channels; scale and bias per channel", {scale, bias},
           infer_per_channel_norm),
      norm(Op::LRN, 1, "X / (bias + alpha / size * sum of X^2 over size neighbouring channels)^beta", {},
           infer_lrn),
      norm(Op::LpNormalization, 1, "X / its p-norm along axis", {}, infer_lp_norm),
      norm(Op::MeanVarianceNormalization, 9, "(X - mean) / sqrt(var) over axes", {}, infer_mean_variance)};
}

}  // namespace narrow::ir::ops
