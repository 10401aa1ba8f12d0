#include <fmt/format.h>

#include <cmath>
#include <unordered_set>

#include "ir/schema.h"

namespace narrow::ir {
namespace {

Error broken(std::string subject, std::string expected, std::string got) {
  return {.code = Code::invalid_model,
          .subject = std::move(subject),
          .expected = std::move(expected),
          .got = std::move(got)};
}

std::string quoted(const Value& value) { return "value '" + value.name + "'"; }

// ---------------------------------------------------------------- one value

Status verify_quantization(const Value& value) {
  const TensorType& type = value.type;
  const Quantization& q = *type.quant;
  if (!is_integer(type.dtype))
    return broken(quoted(value), "integers under a quantization", narrow::to_string(type.dtype));
  if (q.scale.empty() || q.scale.size() != q.zero_point.size())
    return broken(quoted(value), "a zero point per scale",
                  fmt::format("{} scales, {} zero points", q.scale.size(), q.zero_point.size()));
  for (size_t i = 0; i < q.scale.size(); ++i) {
    if (!(q.scale[i] > 0) || !std::isfinite(q.scale[i]))
      return broken(quoted(value), "scales > 0 and finite", fmt::format("{} at {}", q.scale[i], i));
    const int32_t z = q.zero_point[i];
    const bool fits = type.dtype == DType::u8   ? z >= 0 && z <= 255
                      : type.dtype == DType::s8 ? z >= -128 && z <= 127
                                                : true;
    if (!fits)
      return broken(quoted(value), fmt::format("a zero point in {}", narrow::to_string(type.dtype)),
                    std::to_string(z));
  }
  if (q.per_tensor()) {
    if (q.scale.size() == 1) return {};
    return broken(quoted(value), "one scale per tensor", std::to_string(q.scale.size()));
  }
  if (!type.ranked) return {};
  const auto count = static_cast<int64_t>(q.scale.size());
  const bool on_axis = q.axis < type.rank() && (!type.dims[static_cast<size_t>(q.axis)].known() ||
                                                type.dims[static_cast<size_t>(q.axis)].value == count);
  if (on_axis) return {};
  return broken(quoted(value), fmt::format("{} scales along axis {}", count, q.axis),
                fmt::format("rank {}", type.rank()));
}

Status verify_value(const Graph& graph, const Value& value) {
  if (graph.find_value(value.name) != &value)
    return broken(quoted(value), "a name no other value has", "one that is taken");
  if (value.type.dtype == DType::undefined) return broken(quoted(value), "an element type", "none");
  const int origins = (value.producer() != nullptr ? 1 : 0) + (value.is_constant() ? 1 : 0) +
                      (value.is_graph_input() ? 1 : 0);
  if (origins != 1)
    return broken(quoted(value), "one origin: node, input or constant", std::to_string(origins));
  if (value.is_constant()) {
    const Tensor& t = value.constant();
    TensorType type = TensorType::of(t.dtype(), t.shape());
    type.quant = value.type.quant;
    if (!(type == value.type))
      return broken(quoted(value),
                    fmt::format("the type of its tensor, {}{}", narrow::to_string(t.dtype()),
                                narrow::to_string(t.shape())),
                    "another");
  }
  if (value.type.quant != nullptr) NARROW_DO(verify_quantization(value));
  return {};
}

// ---------------------------------------------------------------- links

struct UseHash {
  size_t operator()(const Use& use) const {
    return std::hash<const Node*>()(use.node) * 31 + static_cast<size_t>(use.index);
  }
};

/// Every use names a live node that has the value there; every input of every node is a use of its value.
Status verify_uses(const std::vector<Value*>& values, const std::vector<Node*>& nodes) {
  const std::unordered_set<const Node*> live(nodes.begin(), nodes.end());
  std::unordered_set<Use, UseHash> uses;
  for (const Value* value : values)
    for (const Use& use : value->uses())
      if (!live.contains(use.node) || use.node->input(use.index) != value || !uses.insert(use).second)
        return broken(quoted(*value), "uses by nodes that have it as an input", "another use");
  for (Node* node : nodes)
    for (size_t i = 0; i < node->inputs().size(); ++i)
      if (node->inputs()[i] != nullptr && !uses.contains({node, static_cast<int>(i)}))
        return broken(node->location(), "inputs that know their use", fmt::format("input {}", i));
  return {};
}

/// Nodes follow what they read, and own what they make.
Status verify_order(const Graph& graph, const std::vector<Node*>& nodes) {
  std::unordered_set<const Value*> made;
  for (const Node* node : nodes) {
    for (const Value* input : node->inputs()) {
      if (input == nullptr) continue;
      if (graph.find_value(input->name) != input)
        return broken(node->location(), "inputs that the graph has", quoted(*input));
      if (input->producer() != nullptr && !made.contains(input))
        return broken(node->location(), "inputs that earlier nodes make", quoted(*input));
    }
    for (size_t i = 0; i < node->outputs().size(); ++i) {
      const Value* output = node->outputs()[i];
      if (output->producer() != node || output->producer_index() != static_cast<int>(i))
        return broken(node->location(), "outputs of its own", quoted(*output));
      made.insert(output);
    }
  }
  return {};
}

Status verify_outputs(const Graph& graph) {
  std::unordered_set<std::string> names;
  for (const GraphOutput& output : graph.outputs()) {
    if (!names.insert(output.name).second)
      return broken("output '" + output.name + "'", "a name of its own", "one used twice");
    if (output.value == nullptr || graph.find_value(output.value->name) != output.value)
      return broken("output '" + output.name + "'", "a value of the graph", "another");
  }
  return {};
}

// ---------------------------------------------------------------- types

/// Ops whose elements may change their scale on the way; other ops that move elements only copy bytes.
bool may_requantize(Op op) {
  return op == Op::Identity || op == Op::MaxPool || op == Op::GlobalMaxPool || op == Op::Resize ||
         op == Op::Concat;
}

bool same_or_finer(const TensorType& stored, const TensorType& inferred) {
  if (stored.dtype != inferred.dtype) return false;
  if (!inferred.ranked) return true;
  if (!stored.ranked || stored.rank() != inferred.rank()) return false;
  for (size_t i = 0; i < stored.dims.size(); ++i) {
    const Dim& known = inferred.dims[i];
    const bool fits = known == Dim() || stored.dims[i] == known || (!known.known() && stored.dims[i].known());
    if (!fits) return false;
  }
  return true;
}

Status verify_types(const Node& node) {
  NARROW_TRY(const std::vector<TensorType> inferred, inferred_types(node));
  bool quantized = false;
  for (const Value* input : node.inputs()) quantized |= input != nullptr && input->type.quant != nullptr;
  for (size_t i = 0; i < inferred.size(); ++i) {
    const TensorType& stored = node.outputs()[i]->type;
    if (!same_or_finer(stored, inferred[i]))
      return broken(node.location(), fmt::format("output {} of type {}", i, to_string(inferred[i])),
                    to_string(stored));
    const bool copies = inferred[i].quant != nullptr && !may_requantize(node.op());
    if (copies && (stored.quant == nullptr || !(*stored.quant == *inferred[i].quant)))
      return broken(node.location(), fmt::format("output {} quantized like the input", i),
                    to_string(stored.dtype));
    if (quantized && is_int8(stored.dtype) && stored.quant == nullptr)
      return broken(node.location(), fmt::format("output {} quantized, as an input is", i),
                    to_string(stored));
  }
  return {};
}

}  // namespace

Status verify(const Graph& graph) {
  const std::vector<Node*> nodes = graph.nodes();
  const std::vector<Value*> values = graph.values();
  NARROW_DO(verify_order(graph, nodes));
  NARROW_DO(verify_uses(values, nodes));
  NARROW_DO(verify_outputs(graph));
  for (const Value* value : values) NARROW_DO(verify_value(graph, *value));
  for (const Node* node : nodes) NARROW_DO(verify_types(*node));
  return {};
}

}  // namespace narrow::ir
