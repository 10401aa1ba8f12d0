// y = (q W') s + b  with q and s of dynamic_rows.h
#include "quant/apply_steps.h"
#include "quant/dynamic_rows.h"
#include "quant/regions.h"

namespace narrow::quant {
namespace {

/// A bias as it is added to the scaled result: [N], or [C,1,1] of an image.
Value* bias_operand(Graph& graph, const Node& node, const Recipe& recipe, int64_t channels) {
  const std::optional<Tensor> bias = corrected_bias(recipe, node, channels);
  if (!bias) return node.op() == Op::MatMul ? nullptr : node.input(2);
  const Shape shape = node.op() == Op::Conv ? Shape{channels, 1, 1} : Shape{channels};
  return graph.add_constant(node.input(1)->name + "_bias", bias->reshaped(shape));
}

}  // namespace

void apply_dynamic(Graph& graph, const Recipe& recipe) {
  DynamicRows rows_of(graph);
  for (Node* node : graph.nodes()) {
    if (node->outputs().empty() || format_of(recipe, *node) != NodeFormat::int8_dynamic) continue;
    const Quantization& quant = recipe.weights.at(key_of(*node));
    Value *old = node->output(), *weights = node->input(1);
    const Rows& rows = rows_of.of(node->input(0), node->op() == Op::Conv);
    Value* codes = graph.add_constant(weights->name + "_quantized", weight_codes(recipe, *node));
    Value* real = add_dequantize(graph, codes, quant, DType::s8, weights->name);
    Value* product =
        graph.add_node(node->op(), {rows.real, real}, {old->name + "_product"}, node->attrs, node->name)
            ->output();
    Value* result =
        graph.add_node(Op::Mul, {product, rows.scale}, {old->name + "_scaled"}, {}, old->name + "_rescale")
            ->output();
    if (Value* bias = bias_operand(graph, *node, recipe, static_cast<int64_t>(quant.scale.size())))
      result =
          graph.add_node(Op::Add, {result, bias}, {old->name + "_biased"}, {}, old->name + "_bias")->output();
    result->origin = old->origin.empty() ? old->name : old->origin;
    result->origin_perm = old->origin_perm;
    graph.replace_all_uses(old, result);
  }
}

}  // namespace narrow::quant
