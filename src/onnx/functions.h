// The model's nodes with model-local functions inlined, in an order in which each follows its inputs.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "onnx/proto.h"

namespace narrow::onnx {

struct SourceGraph;

/// A node as some opset spells it. Attributes point into the model.
struct SourceNode {
  std::string op_type, domain, name;  // the domain "ai.onnx" is written ""
  std::vector<std::string> inputs, outputs;
  std::map<std::string, const pb::AttributeProto*> attributes;
  int64_t opset = 0;  // of its domain
  /// Bodies of If, Loop, Scan, by attribute. What they read from outside follows the node's own inputs, from
  /// index `own_inputs` on.
  std::map<std::string, std::shared_ptr<const SourceGraph>> subgraphs;
  size_t own_inputs = 0;

  std::string location() const;  // "Conv 'features.0'"
};

/// A graph inside a node: its nodes flattened, its names as the scope around it has them.
struct SourceGraph {
  const pb::GraphProto* proto;  // of inputs, outputs and initializers: types and data
  std::vector<std::string> inputs, outputs, initializers;
  std::vector<SourceNode> nodes;

  /// Names that the nodes or outputs read and nothing inside makes, in order of their first use.
  std::vector<std::string> captures() const;
};

/// Inlines every call of a model-local function, functions inside functions too: values inside get the call's
/// name as a prefix, attribute references are resolved, each body follows its own opset imports. Errors:
/// invalid_model (no opset import, more arguments than parameters), unsupported (nesting deeper than 32
/// calls or subgraphs, recursion included, or more than 200,000 nodes).
Result<std::vector<SourceNode>> flatten(const pb::ModelProto& model);

/// Orders nodes so that each follows its inputs, otherwise as they were. `given` are inputs and initializers.
/// Errors: invalid_model (a name produced twice or by nobody, a cycle).
Result<std::vector<SourceNode>> in_order(std::vector<SourceNode> nodes, const std::set<std::string>& given);

}  // namespace narrow::onnx
