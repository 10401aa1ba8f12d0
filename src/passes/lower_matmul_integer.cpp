// Cast(MatMulInteger(A, B, a_zero, b_zero), f32)   ->   FusedMatMul(A, B) - f32(a_zero) * sum_k B[k,n]
//
// What ONNX Runtime's dynamic quantization writes. A is read as integers in [0, 255] with scale 1, so the
// product is the exact sum rounded to FP32 once, as the Cast would; the term of the zero point, known only at
// run time, follows in FP32. B is constant, [K,N], around one zero point. Left alone: other readers of the
// sum or of A, zero points per column.
#include <algorithm>

#include "ir/schema.h"
#include "passes/list.h"
#include "passes/quant_view.h"

namespace narrow::passes {
namespace {

struct Weights {
  Tensor values;            // s8 around 0
  std::vector<float> sums;  // over k, per column
};

std::optional<Weights> weights_of(const Node* node) {
  const Value *b = node->input(1), *zero = node->input(3);
  if (!b->is_constant() || b->constant().rank() != 2 || !is_int8(b->type.dtype)) return {};
  int64_t centre = 0;
  if (zero != nullptr) {
    const auto values = int_constant(zero);
    if (!values || values->empty()) return {};
    centre = values->front();
    if (std::any_of(values->begin(), values->end(), [&](int64_t z) { return z != centre; })) return {};
  }
  if (centre != (b->type.dtype == DType::u8 ? 128 : 0)) return {};
  const int64_t rows = b->constant().dim(0), columns = b->constant().dim(1);
  const std::vector<int64_t> stored = to_ints(b->constant());
  std::vector<int64_t> sums(static_cast<size_t>(columns), 0);
  Weights w{Tensor::allocate(DType::s8, {rows, columns}), {}};
  for (size_t i = 0; i < stored.size(); ++i) {
    const int64_t value = stored[i] - centre;
    w.values.mutable_data<int8_t>()[i] = static_cast<int8_t>(value);
    sums[i % static_cast<size_t>(columns)] += value;
  }
  w.sums.assign(sums.begin(), sums.end());
  return w;
}

bool is_cast_to_float(const Node* node) {
  return node != nullptr && node->op() == Op::Cast && node->output()->type.dtype == DType::f32;
}

/// A and its readers: u8, and every reader a MatMulInteger of constant weights, so that it may be labelled.
bool can_label(const Graph& graph, const Value* a) {
  if (a->type.dtype != DType::u8 || graph.is_graph_output(a) || a->is_constant() || !a->type.is_static() ||
      a->type.rank() < 2)
    return false;
  return std::all_of(a->uses().begin(), a->uses().end(), [&](const ir::Use& use) {
    if (use.node->op() == Op::FusedMatMul) return use.index == 0;  // one that was rewritten before
    return use.node->op() == Op::MatMulInteger && use.index == 0 && weights_of(use.node).has_value() &&
           is_cast_to_float(only_reader(graph, use.node->output()));
  });
}

Result<bool> rewrite(Graph& graph, Node* node) {
  Value *a = node->input(0), *a_zero = node->input(2);
  Node* cast = only_reader(graph, node->output());
  auto weights = weights_of(node);
  const bool one_zero =
      a_zero == nullptr || (a_zero->type.is_static() && elements_of(a_zero->type.shape()) == 1);
  if (!weights || !is_cast_to_float(cast) || !one_zero || !can_label(graph, a)) return false;
  const std::string name = node->output()->name;
  a->type.quant =
      std::make_shared<const Quantization>(Quantization{.scale = {1}, .zero_point = {0}, .axis = -1});
  Value* b = graph.add_constant(node->input(1)->name, std::move(weights->values));
  b->type.quant =
      std::make_shared<const Quantization>(Quantization{.scale = {1}, .zero_point = {0}, .axis = -1});
  NARROW_TRY(Value * sum,
             emit(graph, Op::FusedMatMul, {a, b}, name + "_sum", {{"out_dtype", std::string("f32")}}));
  if (a_zero != nullptr) {
    NARROW_TRY(Value * real_zero, emit(graph, Op::Cast, {a_zero}, name + "_zero", cast->attrs));
    const auto columns = static_cast<int64_t>(weights->sums.size());
    Value* sums = add_floats(graph, name + "_columns", Shape{columns}, weights->sums);
    NARROW_TRY(Value * shift, emit(graph, Op::Mul, {sums, real_zero}, name + "_shift"));
    NARROW_TRY(sum, emit(graph, Op::Sub, {sum, shift}, name + "_shifted"));
  }
  take_place(graph, cast->output(), sum);
  return true;
}

}  // namespace

Result<int64_t> lower_matmul_integer(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t lowered = 0;
  for (Node* node : graph.nodes()) {
    if (graph.is_dead(node) || node->op() != Op::MatMulInteger) continue;
    NARROW_TRY(const bool done, rewrite(graph, node));
    lowered += done ? 1 : 0;
  }
  return lowered;
}

}  // namespace narrow::passes
