#include "ir/graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace narrow::ir {

// ---------------------------------------------------------------- types

std::string to_string(const Dim& dim) {
  if (dim.known()) return std::to_string(dim.value);
  return dim.symbol.empty() ? "?" : dim.symbol;
}

TensorType TensorType::of(DType dtype, const Shape& shape) {
  return {.dtype = dtype, .ranked = true, .dims = {shape.begin(), shape.end()}, .quant = nullptr};
}

TensorType TensorType::unranked(DType dtype) {
  return {.dtype = dtype, .ranked = false, .dims = {}, .quant = nullptr};
}

bool TensorType::is_static() const {
  return ranked && std::all_of(dims.begin(), dims.end(), [](const Dim& d) { return d.known(); });
}

Shape TensorType::shape() const {
  NARROW_CHECK(is_static());
  Shape shape(dims.size());
  std::transform(dims.begin(), dims.end(), shape.begin(), [](const Dim& d) { return d.value; });
  return shape;
}

bool TensorType::operator==(const TensorType& other) const {
  const bool same_quant = quant == other.quant || (quant && other.quant && *quant == *other.quant);
  return dtype == other.dtype && ranked == other.ranked && dims == other.dims && same_quant;
}

std::string to_string(const TensorType& type) {
  std::string text = to_string(type.dtype);
  if (type.ranked) {
    text += '[';
    for (size_t i = 0; i < type.dims.size(); ++i) text += (i > 0 ? "," : "") + to_string(type.dims[i]);
    text += ']';
  }
  if (!type.quant) return text;
  const Quantization& q = *type.quant;
  if (q.per_tensor()) return text + fmt::format("<{:.9g},{}>", q.scale.at(0), q.zero_point.at(0));
  text += fmt::format("<{};", q.axis);
  for (size_t i = 0; i < q.scale.size(); ++i) text += fmt::format("{}{:.9g}", i > 0 ? "," : "", q.scale[i]);
  text += ';';
  for (size_t i = 0; i < q.zero_point.size(); ++i)
    text += fmt::format("{}{}", i > 0 ? "," : "", q.zero_point[i]);
  return text + ">";
}

// ---------------------------------------------------------------- node

namespace {
template <class T>
T get_attr(const Attributes& attrs, const std::string& name, T fallback) {
  const auto it = attrs.find(name);
  if (it == attrs.end()) return fallback;
  const T* value = std::get_if<T>(&it->second);
  return value != nullptr ? *value : fallback;
}
}  // namespace

int64_t Node::int_attr(const std::string& attr, int64_t fallback) const {
  return get_attr(attrs, attr, fallback);
}
float Node::float_attr(const std::string& attr, float fallback) const {
  return get_attr(attrs, attr, fallback);
}
std::string Node::string_attr(const std::string& attr, const std::string& fallback) const {
  return get_attr(attrs, attr, fallback);
}
std::vector<int64_t> Node::ints_attr(const std::string& attr, std::vector<int64_t> fallback) const {
  return get_attr(attrs, attr, std::move(fallback));
}

std::string Node::location() const {
  const std::string& shown = name.empty() && !outputs_.empty() ? outputs_[0]->name : name;
  return fmt::format("{} '{}'", to_string(op_), shown);
}

// ---------------------------------------------------------------- building

std::string Graph::unique_name(const std::string& base) const {
  std::string stem = base.empty() ? "v" : base;
  if (!by_name_.contains(stem)) return stem;
  int64_t& suffix = next_suffix_[stem];
  std::string candidate;
  do {
    candidate = stem + "_" + std::to_string(++suffix);
  } while (by_name_.contains(candidate));
  return candidate;
}

Value* Graph::new_value(const std::string& value_name) {
  auto value = std::make_unique<Value>();
  value->name = unique_name(value_name);
  by_name_.emplace(value->name, value.get());
  values_.push_back(std::move(value));
  return values_.back().get();
}

Value* Graph::add_input(const std::string& value_name, TensorType type) {
  Value* value = new_value(value_name);
  value->type = std::move(type);
  value->is_input_ = true;
  inputs_.push_back(value);
  return value;
}

Value* Graph::add_constant(const std::string& value_name, Tensor tensor) {
  Value* value = new_value(value_name);
  value->type = TensorType::of(tensor.dtype(), tensor.shape());
  value->constant_ = std::move(tensor);
  return value;
}

Node* Graph::add_node(Op op, std::vector<Value*> inputs, const std::vector<std::string>& output_names,
                      Attributes attrs, std::string node_name) {
  auto node = std::make_unique<Node>();
  node->op_ = op;
  node->name = std::move(node_name);
  node->attrs = std::move(attrs);
  for (size_t i = 0; i < inputs.size(); ++i) set_input(node.get(), static_cast<int>(i), inputs[i]);
  for (const std::string& output_name : output_names) {
    Value* value = new_value(output_name);
    value->producer_ = node.get();
    value->producer_index_ = static_cast<int>(node->outputs_.size());
    node->outputs_.push_back(value);
  }
  nodes_.push_back(std::move(node));
  return nodes_.back().get();
}

void Graph::add_output(const std::string& output_name, Value* value) {
  outputs_.push_back({output_name, value});
}

// ---------------------------------------------------------------- reading

std::vector<Node*> Graph::nodes() const {
  std::vector<Node*> live;
  live.reserve(nodes_.size());
  for (const auto& node : nodes_)
    if (!node->dead_) live.push_back(node.get());
  return live;
}

std::vector<Node*> Graph::nodes_of(Op op) const {
  std::vector<Node*> found;
  for (const auto& node : nodes_)
    if (!node->dead_ && node->op_ == op) found.push_back(node.get());
  return found;
}

std::vector<Value*> Graph::values() const {
  std::vector<Value*> live;
  for (const auto& value : values_) {
    const bool made = value->is_input_ || (value->producer_ != nullptr && !value->producer_->dead_);
    if (made || (value->is_constant() && readers(value.get()) > 0)) live.push_back(value.get());
  }
  return live;
}

Value* Graph::find_value(const std::string& value_name) const {
  const auto it = by_name_.find(value_name);
  return it == by_name_.end() ? nullptr : it->second;
}

bool Graph::is_graph_output(const Value* value) const {
  return std::any_of(outputs_.begin(), outputs_.end(),
                     [&](const GraphOutput& o) { return o.value == value; });
}

int64_t Graph::readers(const Value* value) const {
  const auto as_output =
      std::count_if(outputs_.begin(), outputs_.end(), [&](const GraphOutput& o) { return o.value == value; });
  return static_cast<int64_t>(value->uses_.size()) + as_output;
}

Node* producer_if_only_use(const Graph& graph, const Value* value, Op op) {
  if (value == nullptr || value->producer() == nullptr || value->producer()->op() != op) return nullptr;
  return graph.readers(value) == 1 ? value->producer() : nullptr;
}

// ---------------------------------------------------------------- changing

void Graph::set_input(Node* node, int index, Value* value) {
  if (index >= static_cast<int>(node->inputs_.size()))
    node->inputs_.resize(static_cast<size_t>(index) + 1, nullptr);
  Value*& slot = node->inputs_[static_cast<size_t>(index)];
  if (slot != nullptr) std::erase(slot->uses_, Use{node, index});
  slot = value;
  if (value != nullptr) value->uses_.push_back({node, index});
  while (!node->inputs_.empty() && node->inputs_.back() == nullptr) node->inputs_.pop_back();
}

void Graph::set_constant(Value* value, Tensor tensor) {
  NARROW_CHECK(value->is_constant());
  auto quant = value->type.quant;
  value->type = TensorType::of(tensor.dtype(), tensor.shape());
  value->type.quant = std::move(quant);
  value->constant_ = std::move(tensor);
}

void Graph::replace_all_uses(Value* from, Value* to) {
  if (from == to) return;
  const std::vector<Use> uses = from->uses_;
  for (const Use& use : uses) set_input(use.node, use.index, to);
  for (GraphOutput& output : outputs_)
    if (output.value == from) output.value = to;
  if (!to->type.ranked && from->type.ranked && to->type.dtype == from->type.dtype) {
    to->type.ranked = true;
    to->type.dims = from->type.dims;
  }
  if (to->origin.empty() && !to->is_constant() && !to->is_input_) {
    to->origin = from->origin;
    to->origin_perm = from->origin_perm;
  }
}

void Graph::erase(Node* node) {
  for (Value* output : node->outputs_) {
    NARROW_CHECK(readers(output) == 0);
    by_name_.erase(output->name);
  }
  for (size_t i = 0; i < node->inputs_.size(); ++i)
    if (node->inputs_[i] != nullptr) std::erase(node->inputs_[i]->uses_, Use{node, static_cast<int>(i)});
  node->inputs_.clear();
  node->dead_ = true;
}

void Graph::rename(Value* value, const std::string& new_name) {
  if (value->name == new_name) return;
  by_name_.erase(value->name);
  value->name = unique_name(new_name);
  by_name_.emplace(value->name, value);
}

Status Graph::sort() {
  std::unordered_map<const Node*, int64_t> waiting;
  std::vector<Node*> order, ready;
  const std::vector<Node*> live = nodes();
  for (Node* node : live) {
    std::set<const Node*> producers;
    for (const Value* input : node->inputs_)
      if (input != nullptr && input->producer_ != nullptr) producers.insert(input->producer_);
    waiting[node] = static_cast<int64_t>(producers.size());
  }
  // Stable: a heap of positions hands out the earliest node that is ready.
  std::unordered_map<const Node*, size_t> position;
  for (size_t i = 0; i < live.size(); ++i) position[live[i]] = i;
  std::set<size_t> heap;
  for (size_t i = 0; i < live.size(); ++i)
    if (waiting[live[i]] == 0) heap.insert(i);
  while (!heap.empty()) {
    Node* node = live[*heap.begin()];
    heap.erase(heap.begin());
    order.push_back(node);
    std::set<Node*> consumers;
    for (const Value* output : node->outputs_)
      for (const Use& use : output->uses_) consumers.insert(use.node);
    for (Node* consumer : consumers)
      if (--waiting[consumer] == 0) heap.insert(position[consumer]);
  }
  if (order.size() != live.size()) {
    for (const Node* node : live)
      if (waiting[node] > 0)
        return Error{.code = Code::invalid_model,
                     .subject = node->location(),
                     .expected = "an acyclic graph",
                     .got = "a node that depends on itself"};
  }
  std::unordered_map<const Node*, std::unique_ptr<Node>> owners;
  for (auto& node : nodes_)
    if (!node->dead_) owners.emplace(node.get(), std::move(node));
  nodes_.clear();
  for (Node* node : order) nodes_.push_back(std::move(owners.at(node)));
  std::erase_if(values_, [&](const std::unique_ptr<Value>& v) {
    return v->producer_ != nullptr && !owners.contains(v->producer_);
  });
  return {};
}

int64_t Graph::remove_dead() {
  int64_t removed = 0;
  const std::vector<Node*> live = nodes();
  std::unordered_set<const Value*> returned;
  for (const GraphOutput& output : outputs_) returned.insert(output.value);
  const auto unread = [&](const Value* v) { return v->uses_.empty() && !returned.contains(v); };
  for (auto it = live.rbegin(); it != live.rend(); ++it) {
    if (!std::all_of((*it)->outputs_.begin(), (*it)->outputs_.end(), unread)) continue;
    erase(*it);
    ++removed;
  }
  std::unordered_set<const Node*> dead;
  for (const auto& node : nodes_)
    if (node->dead_) dead.insert(node.get());
  std::erase_if(values_, [&](const std::unique_ptr<Value>& v) {
    if (v->producer_ != nullptr) return dead.contains(v->producer_);
    if (!v->is_constant() || !unread(v.get())) return false;
    by_name_.erase(v->name);
    return true;
  });
  std::erase_if(nodes_, [](const std::unique_ptr<Node>& n) { return n->dead_; });
  return removed;
}

Graph Graph::clone() const {
  Graph copy;
  copy.name = name;
  copy.metadata = metadata;
  std::unordered_map<const Value*, Value*> map;
  for (const auto& value : values_) {
    if (value->producer_ != nullptr && value->producer_->dead_) continue;
    Value* v = copy.new_value(value->name);
    v->type = value->type;
    v->origin = value->origin;
    v->origin_perm = value->origin_perm;
    v->constant_ = value->constant_;
    v->is_input_ = value->is_input_;
    map[value.get()] = v;
  }
  for (const Value* input : inputs_) copy.inputs_.push_back(map.at(input));
  for (const auto& node : nodes_) {
    if (node->dead_) continue;
    auto n = std::make_unique<Node>();
    n->op_ = node->op_;
    n->name = node->name;
    n->attrs = node->attrs;
    for (size_t i = 0; i < node->inputs_.size(); ++i)
      if (node->inputs_[i] != nullptr) copy.set_input(n.get(), static_cast<int>(i), map.at(node->inputs_[i]));
    for (const Value* output : node->outputs_) {
      Value* v = map.at(output);
      v->producer_ = n.get();
      v->producer_index_ = output->producer_index_;
      n->outputs_.push_back(v);
    }
    copy.nodes_.push_back(std::move(n));
  }
  for (const GraphOutput& output : outputs_) copy.outputs_.push_back({output.name, map.at(output.value)});
  return copy;
}

}  // namespace narrow::ir
