#include "quant/given.h"

#include "passes/quant_view.h"
#include "quant/regions.h"

namespace narrow::quant {
namespace {

using ir::Node;
using ir::Op;
using ir::Value;

const Node* dequantize_before(const Value* value) {
  const Node* node = value == nullptr ? nullptr : value->producer();
  return node != nullptr && node->op() == Op::DequantizeLinear ? node : nullptr;
}

bool is_product(const Node& node) {
  return node.op() == Op::Conv || node.op() == Op::ConvTranspose || node.op() == Op::MatMul ||
         node.op() == Op::Gemm;
}

/// Why a product with weights does not run in integers, or nothing.
const char* stays_wide(const Node& node) {
  const Node *x = dequantize_before(node.input(0)), *w = dequantize_before(node.input(1));
  if (x == nullptr && w == nullptr) return "the model quantizes neither its data nor its weights";
  if (x == nullptr) return "the model does not quantize its data";
  if (w == nullptr) return "the model does not quantize its weights";
  if (!is_int8(x->input(0)->type.dtype) || !is_int8(w->input(0)->type.dtype))
    return "its integers are not of 8 bits";
  return nullptr;
}

}  // namespace

Recipe given_recipe(const ir::Graph& graph) {
  Recipe recipe;
  recipe.precision = Precision::int8;
  for (const Node* node : graph.nodes()) {
    if (node->op() == Op::QuantizeLinear)
      if (const auto quant = passes::per_tensor_parameters(node))
        recipe.activations[node->input(0)->name] = *quant;
    if (!is_product(*node)) continue;
    const char* reason = stays_wide(*node);
    recipe.nodes[key_of(*node)] =
        reason == nullptr ? NodeChoice{NodeFormat::int8, ""} : NodeChoice{NodeFormat::fp32, reason};
  }
  recipe.notes.emplace_back("scales are the model's own, taken exactly; nothing was calibrated for it");
  return recipe;
}

}  // namespace narrow::quant
