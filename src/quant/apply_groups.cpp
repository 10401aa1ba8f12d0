#include "ir/onnx_types.h"
#include "quant/apply_steps.h"
#include "quant/regions.h"

namespace narrow::quant {
namespace {

/// The scales in FP32: FP16 ones are stored so and widened by a Cast.
Value* add_scales(Graph& graph, const GroupedWeights& weights, const std::string& name) {
  Value* stored = graph.add_constant(name + "_scale", weights.scale);
  if (weights.scale.dtype() == DType::f32) return stored;
  return graph
      .add_node(Op::Cast, {stored}, {name + "_scale_f32"}, {{"to", ir::onnx_of_dtype(DType::f32)}},
                name + "_scale_cast")
      ->output();
}

/// `real` with what stands apart added where its places are:
///   Reshape(ScatterElements(Reshape(real, [-1]), CumSum(Cast(gaps)), Cast(values); add), shape of real)
Value* add_apart(Graph& graph, Value* real, const GroupedWeights& weights, const std::string& name) {
  const auto node = [&](Op op, std::vector<Value*> inputs, const std::string& made, ir::Attributes attrs) {
    return graph.add_node(op, std::move(inputs), {name + made}, std::move(attrs), name + made)->output();
  };
  const auto ints = [&](const std::string& made, Shape shape, const std::vector<int64_t>& values) {
    return graph.add_constant(name + made, Tensor::of(std::move(shape), values));
  };
  Value* gaps = node(Op::Cast, {graph.add_constant(name + "_apart_gaps", weights.apart.gaps)},
                     "_apart_gaps_s64", {{"to", ir::onnx_of_dtype(DType::s64)}});
  Value* places = node(Op::CumSum, {gaps, ints("_apart_axis", {}, {0})}, "_apart_places", {});
  Value* values = node(Op::Cast, {graph.add_constant(name + "_apart_values", weights.apart.values)},
                       "_apart_values_f32", {{"to", ir::onnx_of_dtype(DType::f32)}});
  Value* flat = node(Op::Reshape, {real, ints("_apart_flat", {1}, {-1})}, "_dequantized_flat", {});
  Value* whole = node(Op::ScatterElements, {flat, places, values}, "_with_apart_flat",
                      {{"axis", int64_t{0}}, {"reduction", std::string("add")}});
  const Shape& shape = weights.codes.shape();
  return node(Op::Reshape, {whole, ints("_apart_shape", {std::ssize(shape)}, shape)}, "_with_apart", {});
}

}  // namespace

void apply_groups(Graph& graph, const Recipe& recipe) {
  for (Node* node : graph.nodes()) {
    const auto found = node->outputs().empty() ? recipe.groups.end() : recipe.groups.find(key_of(*node));
    if (found == recipe.groups.end()) continue;
    const GroupedWeights& weights = found->second;
    const std::string name = node->input(1)->name;
    std::vector<Value*> inputs = {graph.add_constant(name + "_quantized", weights.codes),
                                  add_scales(graph, weights, name)};
    if (weights.zero_point.defined())
      inputs.push_back(graph.add_constant(name + "_zero_point", weights.zero_point));
    ir::Attributes attrs{{"axis", weights.axis}};
    if (weights.group_size > 0) attrs["block_size"] = weights.group_size;
    Value* real = graph
                      .add_node(Op::DequantizeLinear, std::move(inputs), {name + "_dequantized"},
                                std::move(attrs), name + "_dequantize")
                      ->output();
    if (weights.apart.count() > 0) real = add_apart(graph, real, weights, name);
    graph.set_input(node, 1, real);
  }
}

}  // namespace narrow::quant
