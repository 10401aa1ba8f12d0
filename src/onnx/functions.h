// The model's nodes with model-local functions inlined, in an order in which each follows its inputs.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "onnx/proto.h"

namespace narrow::onnx {

/// A node as some opset spells it. Attributes point into the model.
struct SourceNode {
  std::string op_type, domain, name;  // the domain "ai.onnx" is written ""
  std::vector<std::string> inputs, outputs;
  std::map<std::string, const pb::AttributeProto*> attributes;
  int64_t opset = 0;  // of its domain

  std::string location() const;  // "Conv 'features.0'"
};

/// Inlines every call of a model-local function, functions inside functions too: values inside get the call's
/// name as a prefix, attribute references are resolved, each body follows its own opset imports. Errors:
/// invalid_model (no opset import, more arguments than parameters), unsupported (nesting deeper than 32
/// calls, recursion included, or more than 200,000 nodes).
Result<std::vector<SourceNode>> flatten(const pb::ModelProto& model);

/// Orders nodes so that each follows its inputs, otherwise as they were. `given` are inputs and initializers.
/// Errors: invalid_model (a name produced twice or by nobody, a cycle).
Result<std::vector<SourceNode>> in_order(std::vector<SourceNode> nodes, const std::set<std::string>& given);

}  // namespace narrow::onnx
