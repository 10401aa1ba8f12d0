// The graph between all parts of narrow: typed values, nodes in topological order, constants beside them.
//
// A value's element type may carry a Quantization: integers that stand for real numbers. Standard ONNX
// semantics (Q/DQ nodes) and narrow's integer operators meet there: `Add` of three quantized values is an
// integer addition.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/result.h"
#include "ir/op.h"
#include "numerics/quantization.h"
#include "tensor/tensor.h"

namespace narrow::ir {

/// A dimension: a number, or a symbol whose number a session knows, or nothing known ("?").
struct Dim {
  int64_t value = -1;
  std::string symbol;
  Dim() = default;
  Dim(int64_t v) : value(v) {}  // NOLINT(google-explicit-constructor)
  explicit Dim(std::string s) : symbol(std::move(s)) {}
  bool known() const { return value >= 0; }
  bool operator==(const Dim&) const = default;
};
std::string to_string(const Dim& dim);

struct TensorType {
  DType dtype = DType::undefined;
  bool ranked = false;  // false: nothing known of the shape, dims is empty
  std::vector<Dim> dims;
  std::shared_ptr<const Quantization> quant;  // null: the elements are the numbers

  static TensorType of(DType dtype, const Shape& shape);
  static TensorType unranked(DType dtype);
  int64_t rank() const { return static_cast<int64_t>(dims.size()); }
  bool is_static() const;
  /// Precondition: is_static().
  Shape shape() const;
  bool operator==(const TensorType& other) const;  // quant compared by content
};
std::string to_string(const TensorType& type);  // "u8[N,24,112,112]<0.0235,0>"

class Graph;
class Node;

struct Use {
  Node* node;
  int index;
  bool operator==(const Use&) const = default;
};

/// One value. Produced by a node, or a graph input, or a constant. Owned by the graph; pointers stay valid.
class Value {
 public:
  std::string name;
  TensorType type;
  /// The ONNX value this one stands for, and how its axes lie here: axis i here is axis origin_perm[i] there
  /// (empty: the same). Verification pairs values of two graphs by it. Empty: a value only this graph has.
  std::string origin;
  std::vector<int64_t> origin_perm;

  Node* producer() const { return producer_; }
  int producer_index() const { return producer_index_; }
  const std::vector<Use>& uses() const { return uses_; }
  bool is_constant() const { return constant_.has_value(); }
  const Tensor& constant() const { return *constant_; }
  bool is_graph_input() const { return is_input_; }

 private:
  friend class Graph;
  Node* producer_ = nullptr;
  int producer_index_ = 0;
  std::vector<Use> uses_;
  std::optional<Tensor> constant_;
  bool is_input_ = false;
};

using Attribute = std::variant<int64_t, float, std::string, std::vector<int64_t>, std::vector<float>,
                               std::vector<std::string>, Tensor, std::shared_ptr<Graph>>;
using Attributes = std::map<std::string, Attribute>;

class Node {
 public:
  std::string name;  // as in the ONNX file; kept by the node that took its place
  Attributes attrs;

  Op op() const { return op_; }
  /// nullptr: an optional input that is absent (also beyond the last).
  Value* input(int i) const {
    return i < static_cast<int>(inputs_.size()) ? inputs_[static_cast<size_t>(i)] : nullptr;
  }
  Value* output(int i = 0) const { return outputs_.at(static_cast<size_t>(i)); }
  const std::vector<Value*>& inputs() const { return inputs_; }
  const std::vector<Value*>& outputs() const { return outputs_; }

  bool has(const std::string& attr) const { return attrs.contains(attr); }
  int64_t int_attr(const std::string& attr, int64_t fallback) const;
  float float_attr(const std::string& attr, float fallback) const;
  std::string string_attr(const std::string& attr, const std::string& fallback) const;
  std::vector<int64_t> ints_attr(const std::string& attr, std::vector<int64_t> fallback = {}) const;

  /// For messages: "Conv 'features.0'" (the op and the ONNX name, or the first output when it has none).
  std::string location() const;

 private:
  friend class Graph;
  Op op_ = Op::Identity;
  std::vector<Value*> inputs_, outputs_;
  bool dead_ = false;
};

struct GraphOutput {
  std::string name;  // of the model; stays when the value behind it changes
  Value* value;
};

class Graph {
 public:
  std::string name;
  /// Where the model came from, for messages and the manifest: "producer", "opset", "file".
  std::map<std::string, std::string> metadata;

  Graph() = default;
  Graph(Graph&&) = default;
  Graph& operator=(Graph&&) = default;

  // --- building
  Value* add_input(const std::string& value_name, TensorType type);
  /// The name is made unique by a suffix when it is taken. The type follows from the tensor.
  Value* add_constant(const std::string& value_name, Tensor tensor);
  /// Adds a node with fresh outputs named `output_names` (made unique). Types are undefined until set or
  /// inferred.
  Node* add_node(Op op, std::vector<Value*> inputs, const std::vector<std::string>& output_names,
                 Attributes attrs = {}, std::string node_name = {});
  void add_output(const std::string& output_name, Value* value);

  // --- reading
  const std::vector<Value*>& inputs() const { return inputs_; }
  const std::vector<GraphOutput>& outputs() const { return outputs_; }
  /// Live nodes in order: a snapshot, safe to change the graph while walking it (skip is_dead()).
  std::vector<Node*> nodes() const;
  std::vector<Node*> nodes_of(Op op) const;
  /// Every value that is an input, a constant in use, or a node's output.
  std::vector<Value*> values() const;
  Value* find_value(const std::string& value_name) const;
  bool is_dead(const Node* node) const { return node->dead_; }
  bool is_graph_output(const Value* value) const;
  /// Number of readers, graph outputs counted.
  int64_t readers(const Value* value) const;

  // --- changing
  void set_input(Node* node, int index, Value* value);  // grows the list when needed; value may be null
  void set_op(Node* node, Op op) { node->op_ = op; }
  void set_constant(Value* value, Tensor tensor);  // value must already be a constant
  /// Every use of `from`, graph outputs too, reads `to` instead; an origin or a rank that `to` lacks is taken
  /// over.
  void replace_all_uses(Value* from, Value* to);
  /// The node's outputs must have no readers left.
  void erase(Node* node);
  /// Gives the graph output a new value.
  void set_output(size_t index, Value* value) { outputs_.at(index).value = value; }
  void rename(Value* value, const std::string& new_name);

  /// Orders nodes so that each follows its inputs (stable). Error: invalid_model with a node on the cycle.
  Status sort();
  /// Removes nodes and constants nobody reads; graph inputs stay. Returns how many nodes went.
  int64_t remove_dead();
  Graph clone() const;
  /// A name no value has yet, starting with `base`.
  std::string unique_name(const std::string& base) const;

 private:
  Value* new_value(const std::string& value_name);
  std::vector<std::unique_ptr<Value>> values_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<Value*> inputs_;
  std::vector<GraphOutput> outputs_;
  std::unordered_map<std::string, Value*> by_name_;
  mutable std::map<std::string, int64_t> next_suffix_;
};

/// The producer of `value` when it is an `op` and nobody else reads the value; else nullptr.
Node* producer_if_only_use(const Graph& graph, const Value* value, Op op);

}  // namespace narrow::ir
