#include "runtime/split.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "ir/schema.h"

namespace narrow::runtime {
namespace {

using Values = std::unordered_set<const ir::Value*>;

bool is_known(const ir::Value* value) {
  return value->type.is_static() && value->type.dtype != DType::undefined;
}

/// What the head makes: values of nodes with static shapes all around.
Values made_by_head(const std::vector<ir::Node*>& nodes) {
  Values made;
  for (const ir::Node* node : nodes) {
    const auto is_there = [&](const ir::Value* v) {
      return v == nullptr || v->is_constant() || (v->is_graph_input() && is_known(v)) || made.contains(v);
    };
    if (std::all_of(node->inputs().begin(), node->inputs().end(), is_there) &&
        std::all_of(node->outputs().begin(), node->outputs().end(), is_known))
      made.insert(node->outputs().begin(), node->outputs().end());
  }
  return made;
}

/// Copies nodes of one graph into another, with the values they read.
class Copier {
 public:
  explicit Copier(const std::string& name) { graph_.name = name; }

  void add_input(const ir::Value* value) {
    copied_[value] = described(graph_.add_input(value->name, value->type), value);
  }

  ir::Value* copy_of(const ir::Value* value) {
    const auto known = copied_.find(value);
    if (known != copied_.end()) return known->second;
    if (!value->is_constant()) {
      add_input(value);
      return copied_.at(value);
    }
    return copied_[value] = described(graph_.add_constant(value->name, value->constant()), value);
  }

  void add_node(const ir::Node* node) {
    std::vector<ir::Value*> inputs;
    for (const ir::Value* input : node->inputs())
      inputs.push_back(input == nullptr ? nullptr : copy_of(input));
    std::vector<std::string> names;
    for (const ir::Value* output : node->outputs()) names.push_back(output->name);
    const ir::Node* copy = graph_.add_node(node->op(), std::move(inputs), names, node->attrs, node->name);
    for (size_t i = 0; i < names.size(); ++i)
      copied_[node->outputs()[i]] = described(copy->outputs()[i], node->outputs()[i]);
  }

  void add_output(const std::string& name, const ir::Value* value) {
    graph_.add_output(name, copy_of(value));
  }

  Result<ir::Graph> finish() {
    NARROW_DO(ir::verify(graph_));
    return std::move(graph_);
  }

 private:
  static ir::Value* described(ir::Value* copy, const ir::Value* value) {
    copy->type = value->type;
    copy->origin = value->origin;
    copy->origin_perm = value->origin_perm;
    return copy;
  }

  ir::Graph graph_;
  std::unordered_map<const ir::Value*, ir::Value*> copied_;
};

}  // namespace

Result<Split> split_static(const ir::Graph& graph) {
  const std::vector<ir::Node*> nodes = graph.nodes();
  const Values made = made_by_head(nodes);
  const auto in_head = [&](const ir::Node* node) { return made.contains(node->output()); };
  Copier head(graph.name), tail(graph.name);
  for (const ir::Value* input : graph.inputs()) head.add_input(input);
  for (const ir::Node* node : nodes) (in_head(node) ? head : tail).add_node(node);
  for (const ir::GraphOutput& output : graph.outputs()) tail.add_output(output.name, output.value);

  Values crossing;
  const auto cross = [&](const ir::Value* value) {
    if (value != nullptr && made.contains(value) && crossing.insert(value).second)
      head.add_output(value->name, value);
  };
  for (const ir::Node* node : nodes)
    if (!in_head(node))
      for (const ir::Value* input : node->inputs()) cross(input);
  for (const ir::GraphOutput& output : graph.outputs()) cross(output.value);

  NARROW_TRY(ir::Graph first, head.finish());
  NARROW_TRY(ir::Graph second, tail.finish());
  return Split{std::move(first), std::move(second)};
}

}  // namespace narrow::runtime
