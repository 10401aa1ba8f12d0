#include "ir/extract.h"

#include <unordered_map>
#include <unordered_set>

namespace narrow::ir {
namespace {

std::unordered_set<const Node*> nodes_between(const std::vector<const Value*>& inputs,
                                              const std::vector<const Value*>& outputs) {
  const std::unordered_set<const Value*> cut(inputs.begin(), inputs.end());
  std::unordered_set<const Node*> needed;
  std::vector<const Value*> open = outputs;
  while (!open.empty()) {
    const Value* value = open.back();
    open.pop_back();
    if (value == nullptr || value->is_constant() || cut.contains(value)) continue;
    NARROW_CHECK(value->producer() != nullptr);
    if (!needed.insert(value->producer()).second) continue;
    open.insert(open.end(), value->producer()->inputs().begin(), value->producer()->inputs().end());
  }
  return needed;
}

}  // namespace

Graph extract(const Graph& graph, const std::vector<const Value*>& inputs,
              const std::vector<const Value*>& outputs) {
  Graph part;
  part.name = graph.name;
  part.metadata = graph.metadata;
  std::unordered_map<const Value*, Value*> copies{{nullptr, nullptr}};
  for (const Value* input : inputs) copies[input] = part.add_input(input->name, input->type);
  const auto needed = nodes_between(inputs, outputs);
  for (const Node* node : graph.nodes()) {
    if (!needed.contains(node)) continue;
    std::vector<Value*> read;
    for (const Value* input : node->inputs()) {
      Value*& copy = copies[input];
      if (copy == nullptr && input != nullptr) copy = part.add_constant(input->name, input->constant());
      read.push_back(copy);
    }
    std::vector<std::string> names;
    for (const Value* output : node->outputs()) names.push_back(output->name);
    const Node* made = part.add_node(node->op(), std::move(read), names, node->attrs, node->name);
    for (size_t i = 0; i < names.size(); ++i) {
      Value* output = made->outputs()[i];
      output->type = node->outputs()[i]->type;
      output->origin = names[i];
      copies[node->outputs()[i]] = output;
    }
  }
  for (const Value* output : outputs) part.add_output(output->name, copies.at(output));
  return part;
}

}  // namespace narrow::ir
