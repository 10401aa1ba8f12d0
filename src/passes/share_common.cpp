// Two nodes with the same op, inputs and attributes are one; two constants with the same bits are one.
//
// Exporters repeat Shape chains and quantizers repeat Q/DQ nodes and their scales; matching then sees one
// value.
#include <fmt/format.h>

#include <unordered_map>

#include "passes/list.h"
#include "passes/match.h"

namespace narrow::passes {
namespace {

constexpr int64_t kLargestConstant = 4096;  // bytes; larger ones are weights, which models do not repeat

template <class T>
void append_raw(std::string& key, const T& value) {
  key.append(reinterpret_cast<const char*>(&value),
             sizeof(T));  // NOLINT(bugprone-sizeof-expression): pointers too, as identities
}

void append_text(std::string& key, const std::string& text) {
  append_raw(key, text.size());
  key += text;
}

void append_tensor(std::string& key, const Tensor& tensor) {
  append_text(key, to_string(tensor.dtype()) + to_string(tensor.shape()));
  key.append(static_cast<const char*>(tensor.raw()), static_cast<size_t>(tensor.bytes()));
}

/// False for an attribute that cannot be compared (a subgraph).
bool append_attribute(std::string& key, const ir::Attribute& attribute) {
  append_raw(key, attribute.index());
  if (const auto* i = std::get_if<int64_t>(&attribute)) append_raw(key, *i);
  if (const auto* f = std::get_if<float>(&attribute)) append_raw(key, *f);
  if (const auto* s = std::get_if<std::string>(&attribute)) append_text(key, *s);
  if (const auto* is = std::get_if<std::vector<int64_t>>(&attribute)) {
    append_raw(key, is->size());
    for (const int64_t i : *is) append_raw(key, i);
  }
  if (const auto* fs = std::get_if<std::vector<float>>(&attribute)) {
    append_raw(key, fs->size());
    for (const float f : *fs) append_raw(key, f);
  }
  if (const auto* ss = std::get_if<std::vector<std::string>>(&attribute)) {
    append_raw(key, ss->size());
    for (const std::string& s : *ss) append_text(key, s);
  }
  if (const auto* t = std::get_if<Tensor>(&attribute)) append_tensor(key, *t);
  return !std::holds_alternative<std::shared_ptr<Graph>>(attribute);
}

std::optional<std::string> node_key(const Node* node) {
  std::string key;
  append_raw(key, node->op());
  append_raw(key, node->inputs().size());
  for (const Value* input : node->inputs()) append_raw(key, input);
  append_raw(key, node->outputs().size());
  for (const Value* output : node->outputs()) append_text(key, ir::to_string(output->type));
  for (const auto& [name, attribute] : node->attrs) {
    append_text(key, name);
    if (!append_attribute(key, attribute)) return {};
  }
  return key;
}

int64_t share_constants(Graph& graph) {
  std::unordered_map<std::string, Value*> seen;
  int64_t shared = 0;
  for (Value* value : graph.values()) {
    if (!value->is_constant() || value->constant().bytes() > kLargestConstant) continue;
    std::string key = ir::to_string(value->type);
    append_tensor(key, value->constant());
    const auto [it, fresh] = seen.emplace(std::move(key), value);
    if (fresh || graph.is_graph_output(value)) continue;
    graph.replace_all_uses(value, it->second);
    ++shared;
  }
  return shared;
}

}  // namespace

Result<int64_t> share_common(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t shared = share_constants(graph);
  std::unordered_map<std::string, Node*> seen;
  for (Node* node : graph.nodes()) {
    auto key = node_key(node);
    if (!key || node->outputs().empty()) continue;
    const auto [it, fresh] = seen.emplace(std::move(*key), node);
    if (fresh) continue;
    // Two outputs of the model stay two values.
    bool returned = false;
    for (const Value* output : node->outputs()) returned = returned || graph.is_graph_output(output);
    if (returned) continue;
    for (size_t i = 0; i < node->outputs().size(); ++i)
      graph.replace_all_uses(node->outputs()[i], it->second->outputs()[i]);
    ++shared;
  }
  return shared;
}

}  // namespace narrow::passes
