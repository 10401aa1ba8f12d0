// Ops that carry a state along a sequence.
#include <fmt/format.h>

#include "ir/ops/families.h"
#include "ir/ops/support.h"

namespace narrow::ir::ops {
namespace {

/// X [steps, batch, input] -> Y [steps, directions, batch, hidden], Y_h (and Y_c) [directions, batch,
/// hidden]; with layout 1 the batch comes first everywhere.
Inferred infer_recurrent(const NodeView& view) {
  const TensorType& x = view.type(0);
  NARROW_TRY(const Dims in, dims_of_rank(view, 0, 3));
  NARROW_TRY(const Dims weights, dims_of_rank(view, 1, 3));
  NARROW_TRY(const Dims recurrence, dims_of_rank(view, 2, 3));
  if (!unify(in[2], weights[2]))
    return view.error("W [directions, gates * hidden, input size]", to_string(weights));
  const std::string direction = view.node().string_attr("direction", "forward");
  if (direction != "forward" && direction != "reverse" && direction != "bidirectional")
    return view.error("direction forward, reverse or bidirectional", "'" + direction + "'");
  const Dim directions(direction == "bidirectional" ? 2 : 1);
  if (!unify(directions, weights[0])) return view.error("W for the direction", to_string(weights));
  const Dim& hidden = recurrence[2];
  const bool batch_first = view.node().int_attr("layout", 0) != 0;
  const TensorType y = batch_first ? ranked(x.dtype, {in[0], in[1], directions, hidden})
                                   : ranked(x.dtype, {in[0], directions, in[1], hidden});
  const TensorType state = batch_first ? ranked(x.dtype, {in[0], directions, hidden})
                                       : ranked(x.dtype, {directions, in[1], hidden});
  return Types{y, state, state};
}

/// query [B,T,Hq*dk], value [B,T,Hkv*dv] -> [B,T,Hq*dv] and the state [B,Hkv,dk,dv].
Inferred infer_linear_attention(const NodeView& view) {
  NARROW_TRY(const Dims query, dims_of_rank(view, 0, 3));
  NARROW_TRY(const Dims value, dims_of_rank(view, 2, 3));
  const int64_t heads = view.node().int_attr("q_num_heads", 0), kv = view.node().int_attr("kv_num_heads", 0);
  if (heads < 1 || kv < 1 || heads % kv != 0)
    return view.error("q_num_heads a multiple of kv_num_heads >= 1", fmt::format("{} and {}", heads, kv));
  const auto per = [](const Dim& all, int64_t count) { return all.known() ? Dim(all.value / count) : Dim(); };
  const Dim key_width = per(query[2], heads), value_width = per(value[2], kv);
  const auto width = product({Dim(heads), value_width});
  const DType dtype = view.type(0).dtype;
  return Types{ranked(dtype, {query[0], query[1], width ? Dim(*width) : Dim()}),
               ranked(view.has(3) ? view.type(3).dtype : dtype, {query[0], Dim(kv), key_width, value_width})};
}

Inferred infer_causal_conv(const NodeView& view) {
  NARROW_TRY(const Dims x, dims_of_rank(view, 0, 3));
  NARROW_TRY(const Dims w, dims_of_rank(view, 1, 3));
  if (w[2].known() && w[2].value < 1) return view.error("weight [channels, 1, k >= 1]", to_string(w));
  const DType dtype = view.type(0).dtype;
  return Types{ranked(dtype, x), ranked(dtype, {x[0], x[1], w[2].known() ? Dim(w[2].value - 1) : Dim()})};
}

OpSchema recurrent(Op op, const char* doc, bool cell) {
  OpSchema schema{.op = op,
                  .domain = "",
                  .since = 7,
                  .doc = doc,
                  .inputs = {{"X", kFloats},
                             {"W", kFloats},
                             {"R", kFloats},
                             {"B", kFloats, kOptional},
                             {"sequence_lens", kS32, kOptional},
                             {"initial_h", kFloats, kOptional}},
                  .outputs = {{"Y", kFloats, kOptional}, {"Y_h", kFloats, kOptional}},
                  .infer = infer_recurrent};
  if (!cell) return schema;
  schema.inputs.push_back({"initial_c", kFloats, kOptional});
  schema.inputs.push_back({"P", kFloats, kOptional});
  schema.outputs.push_back({"Y_c", kFloats, kOptional});
  return schema;
}

}  // namespace

Schemas recurrent_ops() {
  return {
      recurrent(Op::RNN, "h = f(x W' + h R' + b) per step", false),
      recurrent(Op::GRU, "h = (1 - z) * g(x W' + r * h R' + b) + z * h per step", false),
      recurrent(Op::LSTM, "c = f * c + i * g(x W' + h R' + b), h = o * h(c) per step", true),
      {.op = Op::LinearAttention,
       .domain = "",
       .since = 27,
       .doc = "state S = exp(decay) * S + k x v (or the delta rule), output = scale * q S, per step and head",
       .inputs = {{"query", kFloats},
                  {"key", kFloats},
                  {"value", kFloats},
                  {"past_state", kFloats, kOptional},
                  {"decay", kFloats, kOptional},
                  {"beta", kFloats, kOptional}},
       .outputs = {{"output", kFloats}, {"present_state", kFloats, kOptional}},
       .infer = infer_linear_attention},
      {.op = Op::CausalConvWithState,
       .domain = "",
       .since = 27,
       .doc = "each channel's dot product with its last k steps; the last k - 1 steps are handed on",
       .inputs = {{"input", kFloats},
                  {"weight", kFloats},
                  {"bias", kFloats, kOptional},
                  {"past_state", kFloats, kOptional}},
       .outputs = {{"output", kFloats}, {"present_state", kFloats, kOptional}},
       .infer = infer_causal_conv}};
}

}  // namespace narrow::ir::ops
