// Softmax(scale * Q Kᵀ + mask) V   ->   Attention(Q, K, V, mask; scale)
//
// Q, K, V are [B,H,S,D]; the transpose of K is absorbed. Where all three come from [B,S,H,D] by
// Transpose(0,2,1,3) and the result returns that way, Attention works on [B,S,H*D] instead and the transposes
// go:
//   Q3 = Reshape(Q [B,S,H,D], [B,S,H*D])      y [B,S,H,D] = Reshape(Attention(Q3, K3, V3), [B,S,H,D])
// Key and value heads repeated for groups of query heads (Unsqueeze, Expand, Reshape) are read unrepeated.
// The reshapes merge in clean_up. Needs static shapes.
#include <algorithm>

#include "ir/onnx_types.h"
#include "passes/list.h"
#include "passes/match.h"
#include "passes/patterns.h"

namespace narrow::passes {
namespace {

const std::vector<int64_t> kSwapHeads{0, 2, 1, 3};

struct Scores {
  Value *q, *k_transposed, *v, *mask = nullptr, *result;
  float scale = 1.0F;
  std::vector<const Node*> nodes = {};
};

/// A score times or divided by a constant: takes the factor out of `value`.
Value* without_scale(const Graph& graph, Value* value, Scores& pattern) {
  for (const Op op : {Op::Div, Op::Mul}) {
    const Node* node = ir::producer_if_only_use(graph, value, op);
    if (node == nullptr) continue;
    for (int i = 0; i < (op == Op::Mul ? 2 : 1); ++i) {
      const auto constant = scalar_constant(node->input(1 - i));
      if (!constant || *constant == 0.0) continue;
      pattern.scale = static_cast<float>(op == Op::Mul ? *constant : 1.0 / *constant);
      pattern.nodes.push_back(node);
      return node->input(i);
    }
  }
  return value;
}

bool is_4d(const Value* value) {
  return value->type.is_static() && value->type.rank() == 4 && is_float(value->type.dtype);
}

/// Q, K and scale behind one operand of the softmax (the other is the mask).
bool match_scores(const Graph& graph, Value* scores, Scores& pattern) {
  const Node* product = ir::producer_if_only_use(graph, without_scale(graph, scores, pattern), Op::MatMul);
  if (product == nullptr) return false;
  pattern.nodes.push_back(product);
  pattern.q = product->input(0);
  pattern.k_transposed = product->input(1);
  return is_4d(pattern.q) && is_4d(pattern.k_transposed) &&
         pattern.q->type.dims[0] == pattern.k_transposed->type.dims[0] &&
         pattern.q->type.dims[1] == pattern.k_transposed->type.dims[1];
}

bool is_mask(const Value* mask, const Value* scores) {
  return mask->type.is_static() && mask->type.rank() <= 4 && mask->type.rank() >= 1 &&
         mask->type.dtype == scores->type.dtype;
}

std::optional<Scores> match(const Graph& graph, const Node* softmax) {
  Scores pattern{};
  pattern.scale = 1.0F;
  if (!is_4d(softmax->output()) || normalized_axis(softmax->int_attr("axis", -1), 4) != 3) return {};
  Node* out = only_reader(graph, softmax->output(), Op::MatMul);
  if (out == nullptr || out->input(0) != softmax->output() || !is_4d(out->input(1))) return {};
  pattern.v = out->input(1);
  pattern.result = out->output();
  pattern.nodes = {softmax, out};
  if (pattern.v->type.dims[1] != softmax->output()->type.dims[1] ||
      pattern.v->type.dims[0] != softmax->output()->type.dims[0])
    return {};
  if (graph.readers(softmax->input(0)) != 1) return {};
  if (const Node* add = producer_of(softmax->input(0), Op::Add)) {
    for (int i = 0; i < 2; ++i) {
      Value *scores = add->input(i), *mask = add->input(1 - i);
      Scores tried = pattern;  // a mask may be a product, too
      if (!is_mask(mask, scores) || !same_shape(scores, add->output()) || !match_scores(graph, scores, tried))
        continue;
      tried.mask = mask;
      tried.nodes.push_back(add);
      return tried;
    }
    return {};
  }
  if (!match_scores(graph, softmax->input(0), pattern)) return {};
  return pattern;
}

/// K [B,H,S,D] from Kᵀ: the transpose before it with its last two axes exchanged, or one of its own.
Result<Value*> untransposed(Graph& graph, Value* k_transposed) {
  std::vector<int64_t> perm{0, 1, 3, 2};
  Value* source = k_transposed;
  if (const Node* transpose = producer_of(k_transposed, Op::Transpose)) {
    perm = transpose->ints_attr("perm", {3, 2, 1, 0});
    std::swap(perm.at(2), perm.at(3));
    source = transpose->input(0);
  }
  if (std::is_sorted(perm.begin(), perm.end())) return source;
  return emit(graph, Op::Transpose, {source}, k_transposed->name + "_k", {{"perm", perm}});
}

/// The inputs of Attention: a mask is read as FP32 beside narrower operands.
Result<std::vector<Value*>> attention_inputs(Graph& graph, Value* q, Value* k, Value* v, Value* mask) {
  std::vector<Value*> inputs{q, k, v};
  if (mask == nullptr) return inputs;
  if (mask->type.dtype != DType::f32) {
    NARROW_TRY(mask,
               emit(graph, Op::Cast, {mask}, mask->name + "_f32", {{"to", ir::onnx_of_dtype(DType::f32)}}));
  }
  inputs.push_back(mask);
  return inputs;
}

// ---------------------------------------------------------------- heads

Value* before_head_swap(const Value* value) {
  const Node* transpose = producer_of(value, Op::Transpose);
  return transpose != nullptr && transpose->ints_attr("perm") == kSwapHeads ? transpose->input(0) : nullptr;
}

/// [B,S,Hkv,D] when `value` [B,S,H,D] repeats each of its heads H / Hkv times in a row; else `value`.
Value* without_repeats(Value* value) {
  const Node* reshape = producer_of(value, Op::Reshape);
  const Node* expand = reshape != nullptr ? producer_of(reshape->input(0), Op::Expand) : nullptr;
  if (expand == nullptr || !expand->input(0)->type.is_static() || !expand->output()->type.is_static())
    return value;
  const Shape from = expand->input(0)->type.shape(), to = expand->output()->type.shape(),
              heads = value->type.shape();
  if (from.size() != 5 || to.size() != 5 || from[3] != 1) return value;
  for (const size_t i : {0U, 1U, 2U, 4U})
    if (from[i] != to[i]) return value;
  if (heads != Shape{to[0], to[1], to[2] * to[3], to[4]}) return value;
  return expand->input(0);  // [B,S,Hkv,1,D]: read as [B,S,Hkv*D]
}

int64_t heads_of(const Value* value) { return known_dim(value, 2); }

/// [B,S,...] as [B,S,width].
Result<Value*> flat(Graph& graph, Value* value, int64_t width) {
  const Shape shape = value->type.shape();
  Value* target = add_ints(graph, value->name + "_flat_shape", {shape[0], shape[1], width});
  return emit(graph, Op::Reshape, {value, target}, value->name + "_flat");
}

struct Operands {
  Value *q, *k, *v;
};

/// Attention on [B,S,H*D] in the place of `swapped`, the [B,S,H,Dv] that a Transpose made of the result.
Result<bool> attend_flat(Graph& graph, const Scores& pattern, const Operands& heads, Value* swapped) {
  const Operands unrepeated{heads.q, without_repeats(heads.k), without_repeats(heads.v)};
  const int64_t q_heads = heads_of(heads.q), kv_heads = heads_of(unrepeated.k);
  const bool grouped = kv_heads == heads_of(unrepeated.v) && kv_heads > 0 && q_heads % kv_heads == 0;
  const Operands used = grouped ? unrepeated : heads;
  const int64_t used_heads = grouped ? kv_heads : q_heads;
  NARROW_TRY(Value * q, flat(graph, used.q, q_heads * heads.q->type.shape()[3]));
  NARROW_TRY(Value * k, flat(graph, used.k, used_heads * heads.k->type.shape()[3]));
  NARROW_TRY(Value * v, flat(graph, used.v, used_heads * heads.v->type.shape()[3]));
  NARROW_TRY(std::vector<Value*> inputs, attention_inputs(graph, q, k, v, pattern.mask));
  Attributes attrs = stored_as(
      pattern.result, q, {{"scale", pattern.scale}, {"q_num_heads", q_heads}, {"kv_num_heads", used_heads}});
  NARROW_TRY(Value * y,
             emit(graph, Op::Attention, std::move(inputs), pattern.result->name + "_flat", std::move(attrs)));
  y->producer()->name = pattern.result->producer()->name;
  Value* target = add_ints(graph, swapped->name + "_shape", swapped->type.shape());
  replace_with(graph, swapped, Op::Reshape, {y, target});
  return true;
}

Result<bool> rewrite(Graph& graph, Node* softmax) {
  const auto pattern = match(graph, softmax);
  if (!pattern) return false;
  NARROW_TRY(Value * k, untransposed(graph, pattern->k_transposed));
  const Operands heads{before_head_swap(pattern->q), before_head_swap(k), before_head_swap(pattern->v)};
  const Node* back = only_reader(graph, pattern->result, Op::Transpose);
  if (heads.q != nullptr && heads.k != nullptr && heads.v != nullptr && back != nullptr &&
      back->ints_attr("perm") == kSwapHeads)
    return attend_flat(graph, *pattern, heads, back->output());
  NARROW_TRY(std::vector<Value*> inputs, attention_inputs(graph, pattern->q, k, pattern->v, pattern->mask));
  replace_with(graph, pattern->result, Op::Attention, std::move(inputs),
               stored_as(pattern->result, pattern->q, {{"scale", pattern->scale}}));
  return true;
}

}  // namespace

std::vector<Pattern> attention_patterns(const Graph& graph) {
  std::vector<Pattern> found;
  for (const Node* softmax : graph.nodes_of(Op::Softmax))
    if (auto scores = match(graph, softmax))
      found.push_back({.nodes = std::move(scores->nodes), .result = scores->result});
  return found;
}

Result<int64_t> recognise_attention(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t found = 0;
  for (Node* softmax : graph.nodes_of(Op::Softmax)) {
    if (graph.is_dead(softmax)) continue;
    NARROW_TRY(const bool done, rewrite(graph, softmax));
    found += done ? 1 : 0;
  }
  return found;
}

}  // namespace narrow::passes
