// What an operator takes and gives: the table behind the importer's checks, type inference and the docs.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "tensor/dtype_set.h"

namespace narrow::ir {

constexpr bool kOptional = true;

struct Parameter {
  std::string name;
  DTypeSet types;  // empty: any
  bool optional = false;
  bool variadic = false;  // the last one only: takes the rest
};

/// A node with its input types, and constant inputs when they are known: what inference may look at.
class NodeView {
 public:
  explicit NodeView(const Node& node) : node_(node) {}
  const Node& node() const { return node_; }
  bool has(int i) const { return node_.input(i) != nullptr; }
  const TensorType& type(int i) const { return node_.input(i)->type; }
  /// The constant behind input i, or nullptr.
  const Tensor* constant(int i) const;
  /// Constant input i as integers, or nothing when it is absent or not constant.
  std::optional<std::vector<int64_t>> ints(int i) const;
  int inputs() const { return static_cast<int>(node_.inputs().size()); }
  /// An error about this node.
  Error error(std::string expected, std::string got, std::string hint = {}) const;

 private:
  const Node& node_;
};

using InferFunction = Result<std::vector<TensorType>> (*)(const NodeView& node);

struct OpSchema {
  Op op;
  std::string domain;  // "" is ai.onnx, "com.microsoft", "narrow"
  int since = 1;       // first opset of that domain that has it
  std::string doc;     // one line, the formula
  std::vector<Parameter> inputs;
  std::vector<Parameter> outputs;
  InferFunction infer;
};

/// Every op has one.
const OpSchema& schema(Op op);
const std::vector<OpSchema>& all_schemas();

/// The types of the node's outputs as its schema gives them. Checks the node against the schema: number and
/// types of inputs and outputs. Dimensions that cannot be known stay unknown. Errors: invalid_model naming
/// the node.
Result<std::vector<TensorType>> inferred_types(const Node& node);
/// Sets the types of the node's outputs to inferred_types(). What an output's type already says stays where
/// inference knows nothing: its dims (annotations of the model), and the quantization of a u8 or s8 value.
Status infer_types(Node& node);
/// infer_types for every node in order.
Status infer_types(Graph& graph);

/// What must hold between passes: order, one producer per value, uses consistent, every node fits its schema,
/// types as inference gives them (an inferred dimension may be less precise than the stored one, never
/// different), quantized types well-formed (scale > 0 and finite, sizes match the axis), constants match
/// their types, unique names.
Status verify(const Graph& graph);

/// Replaces symbolic dimensions: of inputs by `shapes` (input name -> concrete shape), elsewhere by the
/// symbols' values; then infers again. Errors: invalid_data naming the input, when a shape contradicts the
/// type.
Status bind_shapes(Graph& graph, const std::map<std::string, Shape>& shapes);

}  // namespace narrow::ir
