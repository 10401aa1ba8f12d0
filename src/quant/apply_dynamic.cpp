// x [rows, ...]  ->  s = max(max |x| / 127, tiny) per row,  q = round(x / s) + 128,  y = (q W') s + b
//
// In standard ONNX: QuantizeLinear with scale 1 and zero point 128 of the divided data. A row is what is
// multiplied with the weights as one: the last axis of a product, a sample of a convolution.
#include <map>

#include "quant/apply_steps.h"
#include "quant/regions.h"
#include "quant/weights.h"

namespace narrow::quant {
namespace {

constexpr float kTiny = 1e-30F;  // the scale of a row of zeros

/// Data as integers and what to multiply a result with.
struct Rows {
  Value* real = nullptr;   // behind its DequantizeLinear
  Value* scale = nullptr;  // keeps the rank: [..., 1], [N,1,1,1]
};

class DynamicRows {
 public:
  explicit DynamicRows(Graph& graph) : graph_(graph) {}

  /// Made once for all readers of a value.
  const Rows& of(Value* x, bool whole_samples) {
    Rows& rows = made_[{x, whole_samples}];
    if (rows.real == nullptr) rows = make(x, whole_samples);
    return rows;
  }

 private:
  Value* scalar(const std::string& name, float number) {
    return graph_.add_constant(name, Tensor::scalar(number));
  }

  Value* node(Op op, std::vector<Value*> inputs, const std::string& name, ir::Attributes attrs = {}) {
    return graph_.add_node(op, std::move(inputs), {name}, std::move(attrs), name)->output();
  }

  Rows make(Value* x, bool whole_samples) {
    const std::string name = x->name + (whole_samples ? "_sample" : "_row");
    std::vector<int64_t> axes = {-1};
    if (whole_samples) axes = {1, 2, 3};
    Value* axes_value =
        graph_.add_constant(name + "_axes", Tensor::of(Shape{static_cast<int64_t>(axes.size())}, axes));
    Value* largest = node(Op::ReduceMax, {node(Op::Abs, {x}, name + "_abs"), axes_value}, name + "_max",
                          {{"keepdims", int64_t{1}}});
    Value* scaled = node(Op::Mul, {largest, scalar(name + "_step", 1.0F / 127)}, name + "_unbounded");
    Value* scale = node(Op::Max, {scaled, scalar(name + "_tiny", kTiny)}, name + "_scale");
    Value* divided = node(Op::Div, {x, scale}, name + "_divided");
    Value *one = scalar(name + "_one", 1.0F),
          *centre = graph_.add_constant(name + "_zero_point", Tensor::scalar(uint8_t{128}));
    Value* codes = node(Op::QuantizeLinear, {divided, one, centre}, name + "_quantized");
    return {node(Op::DequantizeLinear, {codes, one, centre}, name + "_dequantized"), scale};
  }

  Graph& graph_;
  std::map<std::pair<Value*, bool>, Rows> made_;
};

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
    Value* codes =
        graph.add_constant(weights->name + "_quantized", quantize_weights(weights->constant(), quant));
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
