#include "runtime/interpreter.h"

#include <algorithm>
#include <unordered_map>

#include "passes/pass.h"
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

std::vector<const Tensor*> inputs_of(const ir::Node& node, const Values& values) {
  std::vector<const Tensor*> inputs;
  for (const ir::Value* input : node.inputs())
    inputs.push_back(input == nullptr       ? nullptr
                     : input->is_constant() ? &input->constant()
                                            : &values.at(input));
  return inputs;
}

/// The branch that an If with this condition takes; nullptr: let the plain backend say what is wrong.
const ir::Graph* branch_of(const ir::Node& node, const Tensor* condition) {
  if (node.op() != ir::Op::If || condition == nullptr || condition->dtype() != DType::boolean ||
      condition->elements() != 1)
    return nullptr;
  const auto it = node.attrs.find(to_ints(*condition)[0] != 0 ? "then_branch" : "else_branch");
  const auto* body = it == node.attrs.end() ? nullptr : std::get_if<std::shared_ptr<ir::Graph>>(&it->second);
  return body == nullptr ? nullptr : body->get();
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

Interpreter::Interpreter(ir::Graph graph, std::shared_ptr<ThreadPool> pool, SessionOptions options)
    : graph_(std::move(graph)), pool_(std::move(pool)), options_(std::move(options)) {
  for (const ir::Node* node : graph_.nodes()) {
    StepChoice step{.node = node->name,
                    .op = ir::to_string(node->op()),
                    .kernel = "reference",
                    .outputs = {},
                    .formats = {},
                    .rejected = {{"plan", "shapes of this graph depend on data: it is interpreted"}},
                    .timed_us = {},
                    .emulated = false};
    for (const ir::Value* output : node->outputs()) {
      step.outputs.push_back(output->name);
      step.formats.emplace_back(to_string(output->type.dtype));
    }
    info_.steps.push_back(std::move(step));
  }
}

/// A branch is a model of its own, with a plan per shapes of what it captures.
Result<std::vector<Tensor>> Interpreter::run_branch(const ir::Graph& body,
                                                    std::span<const Tensor* const> captures) {
  auto known = branches_.find(&body);
  if (known == branches_.end()) {
    ir::Graph own = body.clone();
    const passes::PassContext context{.evaluate = reference::evaluate};
    NARROW_DO(passes::run_passes(own, passes::portable_passes(), context, options_.disabled_passes));
    NARROW_TRY(Session session, Session::create(own, pool_, options_));
    known = branches_.emplace(&body, std::move(session)).first;
  }
  TensorMap given;
  for (size_t i = 0; i < captures.size(); ++i) given[body.inputs()[i]->name] = *captures[i];
  NARROW_TRY(TensorMap results, known->second.run(given));
  std::vector<Tensor> outputs;
  for (const ir::GraphOutput& output : body.outputs()) outputs.push_back(results.at(output.name));
  return outputs;
}

Result<std::vector<Tensor>> Interpreter::evaluate(const ir::Node& node,
                                                  const std::vector<const Tensor*>& inputs) {
  const ir::Graph* body = branch_of(node, inputs.empty() ? nullptr : inputs[0]);
  const bool all_there =
      std::none_of(inputs.begin(), inputs.end(), [](const Tensor* t) { return t == nullptr; });
  // Who wants to see every value gets those of the plain backend.
  if (body == nullptr || !all_there || body->inputs().size() + 1 != inputs.size() ||
      options_.reference_only || options_.observe_all)
    return reference::evaluate(node, inputs);
  return run_branch(*body, std::span(inputs).subspan(1));
}

Result<TensorMap> Interpreter::run(std::span<const Tensor> inputs, Observer* observer) {
  Values values;
  for (size_t i = 0; i < inputs.size(); ++i)
    values[graph_.inputs()[i]] = observer != nullptr ? inputs[i].clone() : inputs[i];
  const std::vector<ir::Node*> nodes = graph_.nodes();
  auto readers = count_readers(graph_, nodes);
  for (const ir::Node* node : nodes) {
    if (observer != nullptr) observer->before(*node, views(node->inputs(), values));
    NARROW_TRY(std::vector<Tensor> outputs, evaluate(*node, inputs_of(*node, values)));
    for (size_t i = 0; i < outputs.size(); ++i) values[node->outputs()[i]] = std::move(outputs[i]);
    if (observer != nullptr) observer->after(*node, views(node->outputs(), values));
    for (const ir::Value* input : node->inputs())
      if (--readers[input] == 0) values.erase(input);
  }
  TensorMap named;
  for (const ir::GraphOutput& output : graph_.outputs())
    named[output.name] = output.value->is_constant() ? output.value->constant() : values.at(output.value);
  return named;
}

}  // namespace narrow::runtime
