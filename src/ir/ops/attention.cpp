#include <fmt/format.h>

#include "ir/ops/families.h"
#include "ir/ops/support.h"

namespace narrow::ir::ops {
namespace {

/// Q, K or V as [batch, heads, sequence, width], whether it came so or as [batch, sequence, heads * width].
struct Heads {
  Dim batch, heads, sequence, width;
};

Result<Heads> heads_of(const NodeView& view, int input, const char* count_attr) {
  const TensorType& type = view.type(input);
  if (!type.ranked) return Heads{};
  if (type.rank() == 4) return Heads{type.dims[0], type.dims[1], type.dims[2], type.dims[3]};
  if (type.rank() != 3) return view.error("Q, K and V of rank 3 or 4", ir::to_string(type));
  const int64_t count = view.node().int_attr(count_attr, 0);
  if (count < 1)
    return view.error(fmt::format("{} >= 1 beside inputs of rank 3", count_attr), std::to_string(count));
  const Dim& all = type.dims[2];
  if (all.known() && all.value % count != 0)
    return view.error(fmt::format("a width divisible by {} = {}", count_attr, count), ir::to_string(type));
  return Heads{type.dims[0], Dim(count), type.dims[1], all.known() ? Dim(all.value / count) : Dim()};
}

/// Keys seen: the past ones and the new ones.
Result<Dim> total_sequence(const NodeView& view, const Dim& now) {
  if (!view.has(4)) return now;
  NARROW_TRY(const Dims past, dims_of_rank(view, 4, 4));
  if (past[2] == Dim(0)) return now;
  if (!past[2].known() || !now.known()) return Dim();
  const auto total = as_dim(Wide{past[2].value} + now.value);
  if (!total) return view.error("a sequence that fits in 63 bits", to_string(past));
  return Dim(*total);
}

Inferred infer_attention(const NodeView& view) {
  NARROW_TRY(const DType dtype, out_dtype(view, view.type(0).dtype));
  NARROW_TRY(const Heads q, heads_of(view, 0, "q_num_heads"));
  NARROW_TRY(const Heads k, heads_of(view, 1, "kv_num_heads"));
  NARROW_TRY(const Heads v, heads_of(view, 2, "kv_num_heads"));
  if (!unify(q.batch, k.batch) || !unify(q.width, k.width) || !unify(k.sequence, v.sequence) ||
      !unify(k.heads, v.heads))
    return view.error("Q, K and V that fit together", ir::to_string(view.type(0)) + ", " +
                                                          ir::to_string(view.type(1)) + ", " +
                                                          ir::to_string(view.type(2)));
  if (q.heads.known() && k.heads.known() && (k.heads.value == 0 || q.heads.value % k.heads.value != 0))
    return view.error("heads of Q a multiple of those of K",
                      ir::to_string(q.heads) + " and " + ir::to_string(k.heads));
  NARROW_TRY(const Dim total, total_sequence(view, k.sequence));
  const DType key = view.type(1).dtype, value = view.type(2).dtype;
  TensorType y = TensorType::unranked(dtype);
  if (view.type(0).ranked && view.type(0).rank() == 4)
    y = ranked(dtype, {q.batch, q.heads, q.sequence, v.width});
  if (view.type(0).ranked && view.type(0).rank() == 3) {
    const auto width = product({q.heads, v.width});
    y = ranked(dtype, {q.batch, q.sequence, width ? Dim(*width) : Dim()});
  }
  return Types{std::move(y), ranked(key, {k.batch, k.heads, total, k.width}),
               ranked(value, {v.batch, v.heads, total, v.width}),
               ranked(dtype, {q.batch, q.heads, q.sequence, total})};
}

/// Q, K, V of rank 4; score_mod and prob_mod are graphs from scores to scores.
Inferred infer_flex_attention(const NodeView& view) {
  NARROW_TRY(const Dims q, dims_of_rank(view, 0, 4));
  NARROW_TRY(const Dims k, dims_of_rank(view, 1, 4));
  NARROW_TRY(const Dims v, dims_of_rank(view, 2, 4));
  if (!unify(q[0], k[0]) || !unify(q[3], k[3]) || !unify(k[1], v[1]) || !unify(k[2], v[2]))
    return view.error("Q, K and V that fit together",
                      to_string(q) + ", " + to_string(k) + ", " + to_string(v));
  return Types{ranked(view.type(0).dtype, {q[0], q[1], q[2], v[3]})};
}

Inferred infer_rotary(const NodeView& view) {
  NARROW_TRY(const DType dtype, real_dtype(view, {0}));
  const TensorType& x = view.type(0);
  if (x.ranked && x.rank() != 3 && x.rank() != 4) return view.error("X of rank 3 or 4", ir::to_string(x));
  return Types{shaped_like(x, dtype)};
}

}  // namespace

Schemas attention_ops() {
  return {
      {.op = Op::Attention,
       .domain = "",
       .since = 23,
       .doc =
           "softmax(scale * Q x K' + mask) x V per head; heads of K and V are shared by groups of heads of Q",
       .inputs = {{"Q", kReals},
                  {"K", kReals},
                  {"V", kReals},
                  {"attn_mask", kAny, kOptional},
                  {"past_key", kReals, kOptional},
                  {"past_value", kReals, kOptional}},
       .outputs = {{"Y", kReals},
                   {"present_key", kReals, kOptional},
                   {"present_value", kReals, kOptional},
                   {"qk_matmul_output", kReals, kOptional}},
       .infer = infer_attention},
      {.op = Op::RotaryEmbedding,
       .domain = "",
       .since = 23,
       .doc = "pairs of channels rotated by the angles of their position: (a, b) -> (a cos - b sin, a sin + "
              "b cos)",
       .inputs =
           {{"X", kReals}, {"cos_cache", kFloats}, {"sin_cache", kFloats}, {"position_ids", kS64, kOptional}},
       .outputs = {{"Y", kReals}},
       .infer = infer_rotary},
      {.op = Op::FlexAttention,
       .domain = "ai.onnx.preview",
       .since = 1,
       .doc = "prob_mod(softmax(score_mod(scale * Q x K'))) x V per head; the mods are graphs",
       .inputs = {{"Q", kFloats}, {"K", kFloats}, {"V", kFloats}, {"captured", kAny, kOptional, true}},
       .outputs = {{"Y", kFloats}},
       .infer = infer_flex_attention}};
}

}  // namespace narrow::ir::ops
