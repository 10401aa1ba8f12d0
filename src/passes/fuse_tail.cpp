#include "passes/fuse_tail.h"

#include <algorithm>

#include <limits>

#include "passes/weights_apart.h"

namespace narrow::passes {
namespace {

Attributes activation(const char* name) { return {{"activation", std::string(name)}}; }

Attributes activation(const char* name, float alpha) {
  Attributes attrs = activation(name);
  attrs["alpha"] = alpha;
  return attrs;
}

Attributes activation(const char* name, float alpha, float beta) {
  Attributes attrs = activation(name, alpha);
  attrs["beta"] = beta;
  return attrs;
}

std::optional<Attributes> clip(const Node* node) {
  double low = static_cast<double>(std::numeric_limits<float>::lowest()), high = -low;
  if (node->input(1) != nullptr) {
    const auto bound = scalar_constant(node->input(1));
    if (!bound) return {};
    low = *bound;
  }
  if (node->input(2) != nullptr) {
    const auto bound = scalar_constant(node->input(2));
    if (!bound) return {};
    high = *bound;
  }
  if (!(low <= high)) return {};
  return activation("clip", static_cast<float>(low), static_cast<float>(high));
}

/// The other operand of an Add when it can be the residual of `value`.
Value* residual_of(const Node* add, const Value* value) {
  Value* other = other_input(add, value);
  const bool fits = other != value && !other->is_constant() && is_float(other->type.dtype) &&
                    other->type.is_static() && same_shape(other, value) && same_shape(value, add->output());
  return fits ? other : nullptr;
}

/// `value`, or what a Cast, its only reader, widens it to: what is added then is added to the product before
/// anything is rounded.
Value* widened(const Graph& graph, Value* value) {
  const Node* cast = only_reader(graph, value, Op::Cast);
  const bool half = value->type.dtype == DType::f16 || value->type.dtype == DType::bf16;
  return half && cast != nullptr && cast->output()->type.dtype == DType::f32 ? cast->output() : value;
}

}  // namespace

std::optional<Attributes> activation_attributes(const Node* node) {
  switch (node->op()) {
    case Op::Relu:
      return activation("relu");
    case Op::Clip:
      return clip(node);
    case Op::LeakyRelu:
      return activation("leaky_relu", node->float_attr("alpha", 0.01F));
    case Op::Sigmoid:
      return activation("sigmoid");
    case Op::Tanh:
      return activation("tanh");
    case Op::HardSigmoid:
      return activation("hard_sigmoid", node->float_attr("alpha", 0.2F), node->float_attr("beta", 0.5F));
    case Op::HardSwish:
      return activation("hard_swish");
    case Op::Gelu:
      return activation(node->string_attr("approximate", "none") == "tanh" ? "gelu_tanh" : "gelu");
    case Op::Elu:
      return activation("elu", node->float_attr("alpha", 1.0F));
    case Op::Mish:
      return activation("mish");
    case Op::Swish:
      if (node->float_attr("alpha", 1.0F) != 1.0F) return {};
      return activation("silu");
    default:
      return {};
  }
}

Tail follow_tail(const Graph& graph, Value* value,
                 bool (*fused_later)(const Graph& graph, const Node* layer)) {
  value = widened(graph, value);
  Tail tail{.result = value, .residual = nullptr, .activation = {}};
  if (Node* add = only_reader(graph, value, Op::Add); add != nullptr && add->attrs.empty()) {
    Value* other = residual_of(add, value);
    const Node* rival = other != nullptr ? other->producer() : nullptr;
    const bool rival_takes_it = rival != nullptr && graph.readers(other) == 1 && fused_later(graph, rival);
    if (other != nullptr && !rival_takes_it) {
      tail.residual = other;
      tail.result = add->output();
    }
  }
  if (const Node* next = only_reader(graph, tail.result); next != nullptr && next->input(0) == tail.result) {
    if (auto attrs = activation_attributes(next)) {
      tail.activation = std::move(*attrs);
      tail.result = next->output();
    }
  }
  return tail;
}

namespace {

bool widens(const Node* node) {
  return node != nullptr && (node->op() == Op::DequantizeLinear || node->op() == Op::Cast);
}

bool widens_constants(const Node* node) {
  return widens(node) && std::all_of(node->inputs().begin(), node->inputs().end(), [](const Value* input) {
           return input == nullptr || input->is_constant();
         });
}

}  // namespace

bool is_constant_weight(const Value* value) {
  if (value == nullptr) return false;
  if (value->is_constant()) return true;
  if (const auto apart = weights_apart(value)) return is_constant_weight(apart->dequantized());
  const Node* node = value->producer();
  if (!widens(node)) return false;
  // Scales may be stored in halves and widened, or be codes themselves: a node of constants before this one.
  return std::all_of(node->inputs().begin(), node->inputs().end(), [](const Value* input) {
    return input == nullptr || input->is_constant() || widens_constants(input->producer());
  });
}

Value* widened_bias(Graph& graph, Value* bias) {
  if (!is_float_constant(bias) || bias->type.dtype == DType::f32) return bias;
  return graph.add_constant(bias->name, cast(bias->constant(), DType::f32));
}

}  // namespace narrow::passes
