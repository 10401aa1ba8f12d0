// The formulas exporters write for GELU become one op:
//   x * 0.5 * (1 + erf(x / sqrt(2)))                                      -> Gelu
//   x * 0.5 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x^3)))               -> Gelu(approximate = tanh)
// in any order of the three factors, dividing by sqrt(2) or multiplying by its inverse.
// Left alone when an intermediate value has a reader outside the formula.
#include <cmath>

#include "passes/list.h"
#include "passes/match.h"

namespace narrow::passes {
namespace {

constexpr double kSqrt2 = 1.4142135623730951, kSqrt2OverPi = 0.7978845608028654, kCubic = 0.044715;

/// `value` is one * other with `one` a constant scalar near `constant`: the other operand.
Value* times_scalar(const Value* value, double constant) {
  const Node* mul = producer_of(value, Op::Mul);
  if (mul == nullptr) return nullptr;
  for (int i = 0; i < 2; ++i)
    if (is_scalar(mul->input(i), constant)) return mul->input(1 - i);
  return nullptr;
}

/// 1 + f: the Add that reads f and nobody else does.
Node* plus_one(const Graph& graph, const Value* f) {
  Node* add = only_reader(graph, f, Op::Add);
  return add != nullptr && is_scalar(other_input(add, f), 1.0) ? add : nullptr;
}

/// The end of the product of x, 0.5 and `factor` (= 1 + f), or nullptr.
Node* halved_product(const Graph& graph, const Value* x, const Value* factor) {
  Node* mul = only_reader(graph, factor, Op::Mul);
  if (mul == nullptr) return nullptr;
  const Value* other = other_input(mul, factor);
  if (times_scalar(other, 0.5) == x) return mul;
  const bool by_x = other == x, by_half = is_scalar(other, 0.5);
  Node* last = by_x || by_half ? only_reader(graph, mul->output(), Op::Mul) : nullptr;
  if (last == nullptr) return nullptr;
  const Value* rest = other_input(last, mul->output());
  return (by_x && is_scalar(rest, 0.5)) || (by_half && rest == x) ? last : nullptr;
}

Value* erf_operand(const Node* erf) {
  const Value* argument = erf->input(0);
  const Node* div = producer_of(argument, Op::Div);
  if (div != nullptr && is_scalar(div->input(1), kSqrt2)) return div->input(0);
  return times_scalar(argument, 1.0 / kSqrt2);
}

bool is_cube(const Value* value, const Value* x) {
  if (const Node* pow = producer_of(value, Op::Pow))
    return pow->input(0) == x && is_scalar(pow->input(1), 3.0);
  const Node* mul = producer_of(value, Op::Mul);
  if (mul == nullptr) return false;
  for (int i = 0; i < 2; ++i) {
    const Node* square = producer_of(mul->input(i), Op::Mul);
    if (mul->input(1 - i) == x && square != nullptr && square->input(0) == x && square->input(1) == x)
      return true;
  }
  return false;
}

/// x of sqrt(2/pi) * (x + 0.044715 * x^3).
Value* tanh_operand(const Node* tanh) {
  const Value* sum = times_scalar(tanh->input(0), kSqrt2OverPi);
  const Node* add = producer_of(sum, Op::Add);
  if (add == nullptr) return nullptr;
  for (int i = 0; i < 2; ++i) {
    Value* x = add->input(i);
    const Value* cube = times_scalar(add->input(1 - i), kCubic);
    if (cube != nullptr && is_cube(cube, x)) return x;
  }
  return nullptr;
}

bool rewrite(Graph& graph, Node* function, Value* x, const char* approximate) {
  if (x == nullptr || !is_float(x->type.dtype)) return false;
  const Node* add = plus_one(graph, function->output());
  Node* last = add != nullptr ? halved_product(graph, x, add->output()) : nullptr;
  if (last == nullptr) return false;
  replace_with(graph, last->output(), Op::Gelu, {x},
               stored_as(last->output(), x, {{"approximate", std::string(approximate)}}));
  return true;
}

}  // namespace

Result<int64_t> recognise_gelu(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t found = 0;
  for (Node* erf : graph.nodes_of(Op::Erf))
    if (!graph.is_dead(erf) && rewrite(graph, erf, erf_operand(erf), "none")) ++found;
  for (Node* tanh : graph.nodes_of(Op::Tanh))
    if (!graph.is_dead(tanh) && rewrite(graph, tanh, tanh_operand(tanh), "tanh")) ++found;
  return found;
}

}  // namespace narrow::passes
