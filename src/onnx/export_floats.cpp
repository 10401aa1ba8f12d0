#include "onnx/export_floats.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "ir/onnx_types.h"

namespace narrow::onnx {
namespace {

using ir::Op;

bool is_half(DType type) { return type == DType::bf16 || type == DType::f16; }

/// Every output element is an input element (its sign aside), 0 or 1: rounding it again changes nothing.
bool moves_elements_only(Op op) {
  constexpr std::array kMovers = {Op::Abs,
                                  Op::Clip,
                                  Op::Concat,
                                  Op::ConstantOfShape,
                                  Op::DepthToSpace,
                                  Op::Dropout,
                                  Op::Expand,
                                  Op::EyeLike,
                                  Op::Flatten,
                                  Op::Gather,
                                  Op::GatherElements,
                                  Op::GatherND,
                                  Op::GlobalMaxPool,
                                  Op::Identity,
                                  Op::Max,
                                  Op::MaxPool,
                                  Op::Min,
                                  Op::Neg,
                                  Op::OneHot,
                                  Op::Pad,
                                  Op::ReduceMax,
                                  Op::ReduceMin,
                                  Op::Relu,
                                  Op::Reshape,
                                  Op::Slice,
                                  Op::SpaceToDepth,
                                  Op::Split,
                                  Op::Squeeze,
                                  Op::Tile,
                                  Op::TopK,
                                  Op::Transpose,
                                  Op::Trilu,
                                  Op::Unsqueeze,
                                  Op::Where};
  return std::find(kMovers.begin(), kMovers.end(), op) != kMovers.end();
}

ir::Value* add_cast(ir::Graph& graph, ir::Value* from, DType to, const char* suffix) {
  const std::string name = from->name + suffix;
  ir::Node* node = graph.add_node(Op::Cast, {from}, {name}, {{"to", ir::onnx_of_dtype(to)}}, name);
  node->output()->type = from->type;
  node->output()->type.dtype = to;
  return node->output();
}

/// All of `uses` (a copy: the value's own list shrinks meanwhile) read `to`.
void redirect(ir::Graph& graph, std::vector<ir::Use> uses, ir::Value* to) {
  for (const ir::Use& use : uses) graph.set_input(use.node, use.index, to);
}

void redirect_outputs(ir::Graph& graph, const ir::Value* from, ir::Value* to) {
  for (size_t i = 0; i < graph.outputs().size(); ++i)
    if (graph.outputs()[i].value == from) graph.set_output(i, to);
}

/// `stored` is narrow and stays it; whoever computes with it reads it as float.
void read_as_float(ir::Graph& graph, ir::Value* stored) {
  const std::vector<ir::Use> uses = stored->uses();
  if (!uses.empty()) redirect(graph, uses, add_cast(graph, stored, DType::f32, "_float"));
}

/// Cast and CastLike: to a narrow type they round, from one to float nothing is left to do.
void widen_cast(ir::Graph& graph, ir::Node* node) {
  ir::Value* x = node->input(0);
  ir::Value* y = node->output();
  const DType from = x->type.dtype;  // already float where the graph said bf16 or f16
  if (node->op() == Op::CastLike) {
    graph.set_op(node, Op::Cast);
    graph.set_input(node, 1, nullptr);
    node->attrs = {{"to", ir::onnx_of_dtype(y->type.dtype)}};
  }
  if (is_half(y->type.dtype)) {
    read_as_float(graph, y);
  } else if (from == DType::f32 && y->type.dtype == DType::f32) {
    redirect(graph, y->uses(), x);
    redirect_outputs(graph, y, x);
    graph.erase(node);
  }
}

/// Attributes that name or hold the element type of the output.
void widen_attributes(ir::Node* node) {
  const int64_t f32 = ir::onnx_of_dtype(DType::f32);
  if (node->op() == Op::EyeLike) node->attrs["dtype"] = f32;
  if (node->op() == Op::DequantizeLinear) node->attrs.erase("output_dtype");
  if (node->op() != Op::ConstantOfShape) return;
  const auto value = node->attrs.find("value");
  if (value == node->attrs.end()) return;
  if (auto* tensor = std::get_if<Tensor>(&value->second)) *tensor = cast(*tensor, DType::f32);
}

void widen_outputs(ir::Graph& graph, ir::Node* node) {
  for (ir::Value* y : node->outputs()) {
    if (!is_half(y->type.dtype)) continue;
    const DType stored = y->type.dtype;
    const std::vector<ir::Use> uses = y->uses();
    const bool returned = graph.is_graph_output(y);
    widen_attributes(node);
    y->type.dtype = DType::f32;
    const bool exact = moves_elements_only(node->op());
    if (exact && !returned) continue;
    ir::Value* rounded = add_cast(graph, y, stored, stored == DType::bf16 ? "_bf16" : "_f16");
    redirect_outputs(graph, y, rounded);
    if (!exact && !uses.empty()) redirect(graph, uses, add_cast(graph, rounded, DType::f32, "_float"));
  }
}

// ---------------------------------------------------------------- If, Loop, Scan

using Body = std::shared_ptr<ir::Graph>;

bool has_body(const ir::Node* node) {
  return std::any_of(node->attrs.begin(), node->attrs.end(),
                     [](const auto& attr) { return std::holds_alternative<Body>(attr.second); });
}

/// What a node with bodies reads, before anything was widened: its bodies are typed by it.
using BorderTypes = std::vector<std::pair<ir::Node*, std::vector<DType>>>;

BorderTypes border_types(const std::vector<ir::Node*>& nodes) {
  BorderTypes borders;
  for (ir::Node* node : nodes) {
    if (!has_body(node)) continue;
    std::vector<DType>& types = borders.emplace_back(node, std::vector<DType>{}).second;
    for (const ir::Value* input : node->inputs())
      types.push_back(input == nullptr ? DType::undefined : input->type.dtype);
  }
  return borders;
}

/// Inputs and outputs of bodies keep their types, as those of the graph do; inside, each is widened alone.
Status widen_bodies(ir::Graph& graph, const BorderTypes& borders) {
  for (const auto& [node, types] : borders) {
    for (size_t i = 0; i < types.size(); ++i) {
      ir::Value* input = node->inputs()[i];
      if (input != nullptr && input->type.dtype != types[i])
        graph.set_input(node, static_cast<int>(i), add_cast(graph, input, types[i], "_narrow"));
    }
    for (auto& [name, value] : node->attrs) {
      auto* body = std::get_if<Body>(&value);
      if (body == nullptr) continue;
      ir::Graph own = (*body)->clone();  // clones of a graph share their bodies
      NARROW_DO(widen_narrow_floats(own));
      *body = std::make_shared<ir::Graph>(std::move(own));
    }
    for (ir::Value* output : node->outputs())
      if (is_half(output->type.dtype)) read_as_float(graph, output);
  }
  return {};
}

}  // namespace

Status widen_narrow_floats(ir::Graph& graph) {
  const std::vector<ir::Node*> nodes = graph.nodes();
  const BorderTypes borders = border_types(nodes);
  for (ir::Value* value : graph.values())
    if (is_half(value->type.dtype) && (value->is_constant() || value->is_graph_input()))
      read_as_float(graph, value);
  for (ir::Node* node : nodes) {
    const bool casts = node->op() == Op::Cast || node->op() == Op::CastLike;
    if (casts)
      widen_cast(graph, node);
    else if (!has_body(node))
      widen_outputs(graph, node);
  }
  NARROW_DO(widen_bodies(graph, borders));
  return graph.sort();
}

}  // namespace narrow::onnx
