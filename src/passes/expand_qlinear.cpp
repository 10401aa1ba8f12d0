// Operator-oriented quantized files become the Q/DQ form, so that one lowering serves both:
//   QLinearConv, QLinearMatMul, QGemm,
//   QLinearAdd/Mul/Concat/GlobalAveragePool/AveragePool/Sigmoid/LeakyRelu/Softmax
//   -> DequantizeLinear per operand, the float op, QuantizeLinear
// An s32 bias is dequantized with x_scale * w_scale. MatMulInteger, ConvInteger and DynamicQuantizeLinear
// stay. Left alone where a scale that must be multiplied is not constant.
#include "ir/schema.h"
#include "passes/list.h"
#include "passes/match.h"

namespace narrow::passes {
namespace {

/// Operand i with its scale and zero point behind it.
Result<Value*> dequantized(Graph& graph, const Node* node, int i, int64_t axis) {
  std::vector<Value*> inputs{node->input(i), node->input(i + 1), node->input(i + 2)};
  if (node->input(i)->type.dtype == DType::f32) return node->input(i);  // a float part of QLinearConcat
  return emit(graph, Op::DequantizeLinear, std::move(inputs), node->input(i)->name + "_real",
              {{"axis", axis}});
}

/// bias s32 in units of factor * x_scale * w_scale, as a float value; null stays null.
Result<std::optional<Value*>> dequantized_bias(Graph& graph, const Node* node, int bias, int x_scale,
                                               int w_scale, float factor) {
  if (node->input(bias) == nullptr) return std::optional<Value*>(nullptr);
  const auto x = scalar_constant(node->input(x_scale));
  if (!x || !is_float_constant(node->input(w_scale))) return std::optional<Value*>();
  std::vector<float> units = to_floats(node->input(w_scale)->constant());
  for (float& unit : units) unit *= static_cast<float>(*x) * factor;
  const Shape shape = units.size() == 1 ? Shape{} : Shape{static_cast<int64_t>(units.size())};
  Value* scale = add_floats(graph, node->input(bias)->name + "_scale", shape, units);
  NARROW_TRY(Value * real, emit(graph, Op::DequantizeLinear, {node->input(bias), scale},
                                node->input(bias)->name + "_real", {{"axis", int64_t{0}}}));
  return std::optional<Value*>(real);
}

/// The float op, then QuantizeLinear with the node's inputs y and y + 1, in the place of the node.
Status finish(Graph& graph, Node* node, Op op, std::vector<Value*> operands, Attributes attrs, int y) {
  Value* old = node->output();
  Node* real = graph.add_node(op, std::move(operands), {old->name + "_real"}, std::move(attrs), node->name);
  NARROW_DO(ir::infer_types(*real));
  real->output()->origin = old->origin;
  if (node->input(y) == nullptr) {  // QGemm with a float result
    take_place(graph, old, real->output());
    return {};
  }
  Attributes stored;
  if (node->input(y + 1) == nullptr) stored["output_dtype"] = int64_t{old->type.dtype == DType::s8 ? 3 : 2};
  replace_with(graph, old, Op::QuantizeLinear, {real->output(), node->input(y), node->input(y + 1)},
               std::move(stored));
  return {};
}

Result<bool> expand_conv(Graph& graph, Node* node) {
  NARROW_TRY(const auto bias, dequantized_bias(graph, node, 8, 1, 4, 1.0F));
  if (!bias) return false;
  NARROW_TRY(Value * x, dequantized(graph, node, 0, 1));
  NARROW_TRY(Value * w, dequantized(graph, node, 3, 0));
  NARROW_DO(finish(graph, node, Op::Conv, {x, w, *bias}, node->attrs, 6));
  return true;
}

Result<bool> expand_matmul(Graph& graph, Node* node) {
  // Per-row scales of A are [M] (or [.., M, 1]) and of B [N]: only the common forms, one scale or B's
  // columns.
  const Value* a_scale = node->input(1);
  if (!a_scale->type.is_static() || elements_of(a_scale->type.shape()) != 1) return false;
  if (!node->input(3)->type.ranked) return false;
  NARROW_TRY(Value * a, dequantized(graph, node, 0, 1));
  NARROW_TRY(Value * b, dequantized(graph, node, 3, node->input(3)->type.rank() - 1));
  NARROW_DO(finish(graph, node, Op::MatMul, {a, b}, {}, 6));
  return true;
}

Result<bool> expand_gemm(Graph& graph, Node* node) {
  const float alpha = node->float_attr("alpha", 1.0F);
  NARROW_TRY(const auto bias, dequantized_bias(graph, node, 6, 1, 4, alpha));
  if (!bias) return false;
  NARROW_TRY(Value * a, dequantized(graph, node, 0, 1));
  NARROW_TRY(Value * b, dequantized(graph, node, 3, node->int_attr("transB", 0) != 0 ? 0 : 1));
  Attributes attrs{
      {"transA", node->int_attr("transA", 0)}, {"transB", node->int_attr("transB", 0)}, {"alpha", alpha}};
  NARROW_DO(finish(graph, node, Op::Gemm, {a, b, *bias}, std::move(attrs), 7));
  return true;
}

Result<bool> expand_binary(Graph& graph, Node* node, Op op) {
  NARROW_TRY(Value * a, dequantized(graph, node, 0, 1));
  NARROW_TRY(Value * b, dequantized(graph, node, 3, 1));
  NARROW_DO(finish(graph, node, op, {a, b}, {}, 6));
  return true;
}

Result<bool> expand_unary(Graph& graph, Node* node, Op op) {
  NARROW_TRY(Value * x, dequantized(graph, node, 0, 1));
  Attributes attrs = node->attrs;
  attrs.erase("opset");
  NARROW_DO(finish(graph, node, op, {x}, std::move(attrs), 3));
  return true;
}

Result<bool> expand_concat(Graph& graph, Node* node) {
  std::vector<Value*> parts;
  for (int i = 2; i + 2 < static_cast<int>(node->inputs().size()); i += 3) {
    NARROW_TRY(Value * part, dequantized(graph, node, i, 1));
    parts.push_back(part);
  }
  NARROW_DO(finish(graph, node, Op::Concat, std::move(parts), {{"axis", node->int_attr("axis", 0)}}, 0));
  return true;
}

Result<bool> expand(Graph& graph, Node* node) {
  switch (node->op()) {
    case Op::QLinearConv:
      return expand_conv(graph, node);
    case Op::QLinearMatMul:
      return expand_matmul(graph, node);
    case Op::QGemm:
      return expand_gemm(graph, node);
    case Op::QLinearAdd:
      return expand_binary(graph, node, Op::Add);
    case Op::QLinearMul:
      return expand_binary(graph, node, Op::Mul);
    case Op::QLinearConcat:
      return expand_concat(graph, node);
    case Op::QLinearGlobalAveragePool:
      return expand_unary(graph, node, Op::GlobalAveragePool);
    case Op::QLinearAveragePool:
      return expand_unary(graph, node, Op::AveragePool);
    case Op::QLinearSigmoid:
      return expand_unary(graph, node, Op::Sigmoid);
    case Op::QLinearLeakyRelu:
      return expand_unary(graph, node, Op::LeakyRelu);
    case Op::QLinearSoftmax:
      return expand_unary(graph, node, Op::Softmax);
    default:
      return false;
  }
}

}  // namespace

Result<int64_t> expand_qlinear(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t expanded = 0;
  for (Node* node : graph.nodes()) {
    if (graph.is_dead(node)) continue;
    NARROW_TRY(const bool done, expand(graph, node));
    expanded += done ? 1 : 0;
  }
  return expanded;
}

}  // namespace narrow::passes
