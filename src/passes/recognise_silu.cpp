// Products of a value with a gate of itself become one op:
//   x * Sigmoid(x)                                                        -> Swish(alpha = 1)
//   x * HardSigmoid(x; 1/6, 1/2), x * Clip(x + 3, 0, 6) / 6               -> HardSwish
//   x * Tanh(Softplus(x))                                                 -> Mish
// Left alone when the gate has another reader.
#include <cmath>

#include "passes/list.h"
#include "passes/match.h"

namespace narrow::passes {
namespace {

bool near(float a, double b) { return std::abs(static_cast<double>(a) - b) <= 1e-6 * std::abs(b); }

bool is_relu6_of_x_plus_3(const Graph& graph, const Value* value, const Value* x) {
  const Node* clip = ir::producer_if_only_use(graph, value, Op::Clip);
  if (clip == nullptr || scalar_constant(clip->input(1)) != 0.0 || !is_scalar(clip->input(2), 6.0))
    return false;
  const Node* add = ir::producer_if_only_use(graph, clip->input(0), Op::Add);
  if (add == nullptr) return false;
  return (add->input(0) == x && is_scalar(add->input(1), 3.0)) ||
         (add->input(1) == x && is_scalar(add->input(0), 3.0));
}

/// value = operand / 6, by division or multiplication; the operand.
Value* sixth(const Node* node) {
  if (node == nullptr) return nullptr;
  if (node->op() == Op::Div && is_scalar(node->input(1), 6.0)) return node->input(0);
  if (node->op() == Op::Mul && is_scalar(node->input(1), 1.0 / 6.0)) return node->input(0);
  if (node->op() == Op::Mul && is_scalar(node->input(0), 1.0 / 6.0)) return node->input(1);
  return nullptr;
}

/// The op that x * gate is, when `gate` is one of the gates of x and only this product reads it.
std::optional<Op> gated(const Graph& graph, const Value* x, const Value* gate) {
  if (gate->producer() == nullptr || graph.readers(gate) != 1) return {};
  const Node* node = gate->producer();
  if (node->op() == Op::Sigmoid && node->input(0) == x) return Op::Swish;
  if (node->op() == Op::HardSigmoid && node->input(0) == x &&
      near(node->float_attr("alpha", 0.2F), 1.0 / 6.0) && near(node->float_attr("beta", 0.5F), 0.5))
    return Op::HardSwish;
  if (node->op() == Op::Tanh) {
    const Node* softplus = ir::producer_if_only_use(graph, node->input(0), Op::Softplus);
    if (softplus != nullptr && softplus->input(0) == x) return Op::Mish;
  }
  if (is_relu6_of_x_plus_3(graph, sixth(node), x)) return Op::HardSwish;
  return {};
}

void replace_product(Graph& graph, Node* product, Op op, Value* x) {
  Attributes attrs;
  if (op == Op::Swish) attrs["alpha"] = 1.0F;
  replace_with(graph, product->output(), op, {x}, stored_as(product->output(), x, std::move(attrs)));
}

bool rewrite_product(Graph& graph, Node* mul) {
  for (int i = 0; i < 2; ++i) {
    Value *x = mul->input(i), *gate = mul->input(1 - i);
    if (const auto op = gated(graph, x, gate)) {
      replace_product(graph, mul, *op, x);
      return true;
    }
  }
  return false;
}

/// (x * Clip(x + 3, 0, 6)) / 6
bool rewrite_late_division(Graph& graph, Node* last) {
  const Value* product = sixth(last);
  const Node* mul = product != nullptr ? ir::producer_if_only_use(graph, product, Op::Mul) : nullptr;
  if (mul == nullptr) return false;
  for (int i = 0; i < 2; ++i)
    if (is_relu6_of_x_plus_3(graph, mul->input(1 - i), mul->input(i))) {
      replace_product(graph, last, Op::HardSwish, mul->input(i));
      return true;
    }
  return false;
}

}  // namespace

Result<int64_t> recognise_silu(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t found = 0;
  for (Node* node : graph.nodes()) {
    if (graph.is_dead(node) || (node->op() != Op::Mul && node->op() != Op::Div)) continue;
    if ((node->op() == Op::Mul && rewrite_product(graph, node)) || rewrite_late_division(graph, node))
      ++found;
  }
  return found;
}

}  // namespace narrow::passes
