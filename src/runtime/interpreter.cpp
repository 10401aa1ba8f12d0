#include "runtime/interpreter.h"

#include <algorithm>
#include <unordered_map>

#include "runtime/reference/reference.h"

namespace narrow::runtime {
namespace {

using Values = std::unordered_map<const ir::Value*, Tensor>;

/// How many times each value is still read: by nodes, and by the graph's outputs.
std::unordered_map<const ir::Value*, int64_t> count_readers(const ir::Graph& graph,
                                                            const std::vector<ir::Node*>& nodes) {
  std::unordered_map<const ir::Value*, int64_t> readers;
  for (const ir::Node* node : nodes)
    for (const ir::Value* input : node->inputs()) ++readers[input];
  for (const ir::GraphOutput& output : graph.outputs()) ++readers[output.value];
  return readers;
}

std::vector<ValueView> views(const std::vector<ir::Value*>& list, const Values& values) {
  std::vector<ValueView> shown;
  for (const ir::Value* value : list) {
    if (value == nullptr || value->is_constant()) continue;
    const Tensor& tensor = values.at(value);
    shown.push_back({value, tensor.shape(), const_cast<void*>(tensor.raw())});
  }
  return shown;
}

Status run_node(const ir::Node& node, Values& values, Observer* observer) {
  std::vector<const Tensor*> inputs;
  for (const ir::Value* input : node.inputs())
    inputs.push_back(input == nullptr       ? nullptr
                     : input->is_constant() ? &input->constant()
                                            : &values.at(input));
  if (observer != nullptr) observer->before(node, views(node.inputs(), values));
  NARROW_TRY(std::vector<Tensor> outputs, reference::evaluate(node, inputs));
  for (size_t i = 0; i < outputs.size(); ++i) values[node.outputs()[i]] = std::move(outputs[i]);
  if (observer != nullptr) observer->after(node, views(node.outputs(), values));
  return {};
}

}  // namespace

bool depends_on_data(const ir::Graph& graph) {
  const auto open = [](const ir::Value* v) {
    return !v->type.is_static() || v->type.dtype == DType::undefined;
  };
  const std::vector<ir::Node*> nodes = graph.nodes();
  return std::any_of(nodes.begin(), nodes.end(), [&](const ir::Node* node) {
    return std::any_of(node->outputs().begin(), node->outputs().end(), open);
  });
}

Interpreter::Interpreter(ir::Graph graph) : graph_(std::move(graph)) {
  for (const ir::Node* node : graph_.nodes()) {
    StepChoice step{.node = node->name,
                    .op = ir::to_string(node->op()),
                    .kernel = "reference",
                    .outputs = {},
                    .formats = {},
                    .rejected = {{"plan", "shapes of this graph depend on data: it is interpreted"}},
                    .emulated = false};
    for (const ir::Value* output : node->outputs()) {
      step.outputs.push_back(output->name);
      step.formats.emplace_back(to_string(output->type.dtype));
    }
    info_.steps.push_back(std::move(step));
  }
}

Result<TensorMap> Interpreter::run(std::span<const Tensor> inputs, Observer* observer) const {
  Values values;
  for (size_t i = 0; i < inputs.size(); ++i)
    values[graph_.inputs()[i]] = observer != nullptr ? inputs[i].clone() : inputs[i];
  const std::vector<ir::Node*> nodes = graph_.nodes();
  auto readers = count_readers(graph_, nodes);
  for (const ir::Node* node : nodes) {
    NARROW_DO(run_node(*node, values, observer));
    for (const ir::Value* input : node->inputs())
      if (--readers[input] == 0) values.erase(input);
  }
  TensorMap named;
  for (const ir::GraphOutput& output : graph_.outputs())
    named[output.name] = output.value->is_constant() ? output.value->constant() : values.at(output.value);
  return named;
}

}  // namespace narrow::runtime
