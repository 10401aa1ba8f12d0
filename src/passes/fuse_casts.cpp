// Casts between float formats go into the nodes around them (T is bf16 or f16):
//   Cast<T>(Cast<f32>(v: T))               -> v
//   Cast<T>(DequantizeLinear(q))           -> DequantizeLinear(q; output_dtype = T)
//   QuantizeLinear(Cast<f32>(v: T))        -> QuantizeLinear(v)
//   Cast(op(...))                          -> op(...; out_dtype)      op: FusedConv, FusedMatMul, or any that
//   stores every
//                                             format (elementwise, pools, norms, Softmax, Attention)
//   op(Cast<f32>(x: T))                    -> op(x; out_dtype = f32)  likewise, when all its data is T
//   FusedConv(Cast<f32>(x: T), Cast<f32>(W: T), b, Cast<f32>(r: T))  -> FusedConv(x, W, b, r; out_dtype =
//   f32)
// Arithmetic stays in FP32 and rounds once, where the result is stored: never more often than before.
#include "ir/onnx_types.h"
#include "passes/list.h"
#include "passes/quant_view.h"

namespace narrow::passes {
namespace {

bool is_half(DType type) { return type == DType::bf16 || type == DType::f16; }

/// v when value = Cast<f32>(v) of a half type.
Value* half_behind(const Value* value) {
  const Node* cast = producer_of(value, Op::Cast);
  if (cast == nullptr || value->type.dtype != DType::f32 || !is_half(cast->input(0)->type.dtype))
    return nullptr;
  return cast->input(0);
}

bool is_kernel_float(DType type) { return type == DType::f32 || is_half(type); }

bool is_fused(Op op) { return op == Op::FusedConv || op == Op::FusedMatMul; }

bool cancel_pair(Graph& graph, Node* cast) {
  Value* v = half_behind(cast->input(0));
  if (v == nullptr || v->type.dtype != cast->output()->type.dtype || graph.is_graph_output(cast->output()))
    return false;
  graph.replace_all_uses(cast->output(), v);
  return true;
}

bool stores_any_format(const Node* node) { return is_fused(node->op()) || format_free_inputs(node) != 0; }

/// The node before the cast stores what the cast made: a float op that only the cast reads, or any
/// DequantizeLinear.
bool into_producer(Graph& graph, Node* cast) {
  const Node* producer = cast->input(0)->producer();
  const DType from = cast->input(0)->type.dtype, to = cast->output()->type.dtype;
  if (producer == nullptr || !is_kernel_float(from) || !is_kernel_float(to)) return false;
  Attributes attrs = producer->attrs;
  if (producer->op() == Op::DequantizeLinear && from == DType::f32) {
    attrs["output_dtype"] = ir::onnx_of_dtype(to);
  } else if (stores_any_format(producer) && graph.readers(cast->input(0)) == 1) {
    attrs["out_dtype"] = std::string(to_string(to));
  } else {
    return false;
  }
  replace_with(graph, cast->output(), producer->op(), producer->inputs(), std::move(attrs), producer->name);
  return true;
}

/// A float op all of whose data comes out of one half format reads that.
bool into_reader(Graph& graph, Node* node) {
  const int count = format_free_inputs(node);
  if (count <= 0 || node->op() == Op::Clip || node->output()->type.dtype != DType::f32) return false;
  for (int i = 0; i < count; ++i) {
    const Value* half = node->input(i) != nullptr ? half_behind(node->input(i)) : nullptr;
    if (half == nullptr || half->type.dtype != half_behind(node->input(0))->type.dtype) return false;
  }
  for (int i = 0; i < count; ++i) graph.set_input(node, i, half_behind(node->input(i)));
  node->attrs["out_dtype"] = std::string(to_string(DType::f32));
  return true;
}

bool into_quantize(Graph& graph, Node* quantize) {
  Value* v = half_behind(quantize->input(0));
  if (v == nullptr) return false;
  graph.set_input(quantize, 0, v);
  return true;
}

bool into_fused(Graph& graph, Node* fused) {
  bool changed = false;
  Value *x = half_behind(fused->input(0)), *w = half_behind(fused->input(1));
  if (x != nullptr && w != nullptr && x->type.dtype == w->type.dtype) {
    graph.set_input(fused, 0, x);
    graph.set_input(fused, 1, w);
    changed = true;
  }
  if (Value* r = fused->input(3) != nullptr ? half_behind(fused->input(3)) : nullptr) {
    graph.set_input(fused, 3, r);
    changed = true;
  }
  return changed;
}

}  // namespace

Result<int64_t> fuse_casts(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t changed = 0;
  for (Node* node : graph.nodes()) {
    if (graph.is_dead(node)) continue;
    bool done = false;
    if (node->op() == Op::Cast) done = cancel_pair(graph, node) || into_producer(graph, node);
    if (node->op() == Op::QuantizeLinear) done = into_quantize(graph, node);
    if (is_fused(node->op())) done = into_fused(graph, node);
    if (!done) done = into_reader(graph, node);
    changed += done ? 1 : 0;
  }
  return changed;
}

}  // namespace narrow::passes
