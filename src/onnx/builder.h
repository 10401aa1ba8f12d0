// The graph under construction: values by their ONNX names, and nodes on their way to the newest form of
// their op.
#pragma once

#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "ir/graph.h"
#include "onnx/functions.h"

namespace narrow::onnx {

/// One node whose inputs are known; rewriting changes it in place.
struct Draft {
  const SourceNode& source;
  ir::Op op;
  std::vector<ir::Value*> inputs;
  std::vector<std::string> outputs;  // ONNX names, "" for one nobody asked for
  ir::Attributes attrs;
  bool done = false;  // its outputs are defined already, nothing is left to add

  int64_t opset() const { return source.opset; }
  ir::Value* input(size_t i) const { return i < inputs.size() ? inputs[i] : nullptr; }
  void set_input(size_t i, ir::Value* value);
  int64_t int_attr(const std::string& name, int64_t fallback) const;
  std::string string_attr(const std::string& name) const;  // "" when it is absent
  /// Removes the attribute and returns it, or nothing when it is absent.
  template <class T>
  std::optional<T> take(const std::string& name) {
    const auto it = attrs.find(name);
    if (it == attrs.end() || !std::holds_alternative<T>(it->second)) return std::nullopt;
    std::optional<T> value = std::get<T>(std::move(it->second));
    attrs.erase(it);
    return value;
  }
  Error invalid(std::string expected, std::string got, std::string hint = {}) const;
  Error unsupported(std::string expected, std::string got, std::string hint = {}) const;
};

class GraphBuilder {
 public:
  /// `reserved`: every name the file uses; values added by rewriting keep clear of them.
  explicit GraphBuilder(std::set<std::string> reserved) : reserved_(std::move(reserved)) {}

  ir::Graph graph;

  /// Null when nothing of that ONNX name was defined.
  ir::Value* find(const std::string& onnx_name) const;
  void define(const std::string& onnx_name, ir::Value* value);

  /// A constant the rewriting needs, named after the node.
  ir::Value* constant(const Draft& draft, const char* role, Tensor tensor);
  ir::Value* constant_ints(const Draft& draft, const char* role, const std::vector<int64_t>& values);
  /// A node before the one being rewritten, with one output. Errors: those of type inference.
  Result<ir::Value*> add_before(const Draft& draft, const char* role, ir::Op op,
                                std::vector<ir::Value*> inputs, ir::Attributes attrs = {});
  /// Adds the finished draft, infers its types and defines its outputs.
  Status add(Draft draft);

 private:
  std::string helper_name(const Draft& draft, const char* role) const;
  std::set<std::string> reserved_;
  std::unordered_map<std::string, ir::Value*> by_onnx_name_;
};

}  // namespace narrow::onnx
