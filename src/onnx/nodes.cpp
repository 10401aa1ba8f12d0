#include "onnx/nodes.h"

#include <fmt/format.h>

#include "ir/schema.h"
#include "onnx/attributes.h"
#include "onnx/canonical/canonical.h"
#include "onnx/graph_types.h"
#include "onnx/tensors.h"

namespace narrow::onnx {
namespace {

Error invalid_model(std::string subject, std::string expected, std::string got, std::string hint) {
  return Error{Code::invalid_model, std::move(subject), std::move(expected), std::move(got), std::move(hint)};
}

Error unknown_operator(const SourceNode& node) {
  const std::string domain = node.domain.empty() ? "ai.onnx" : node.domain;
  const char* hint = domain == "com.microsoft"
                         ? "use the model as it was before ONNX Runtime's optimizer fused it"
                         : "express it with other operators, or as a model-local function";
  return Error{.code = Code::unsupported,
               .subject = node.location(),
               .expected = fmt::format("an operator narrow knows at opset {}", node.opset),
               .got = domain + "." + node.op_type,
               .hint = hint};
}

Result<ir::Attributes> attributes_of(const SourceNode& node, ExternalFiles& files) {
  ir::Attributes attrs;
  for (const auto& [name, proto] : node.attributes) {
    NARROW_TRY(ir::Attribute value, read_attribute(*proto, node.location(), files));
    attrs.emplace(name, std::move(value));
  }
  return attrs;
}

Status resolve_inputs(Draft& draft, const GraphBuilder& builder) {
  for (const std::string& name : draft.source.inputs) {
    ir::Value* value = name.empty() ? nullptr : builder.find(name);
    if (value == nullptr && !name.empty())
      return draft.unsupported("inputs that inference computes",
                               "'" + name + "', an output only training has");
    draft.inputs.push_back(value);
  }
  return {};
}

// ---------------------------------------------------------------- bodies of If, Loop and Scan

/// A value that bodies read from around them.
struct Capture {
  std::string name;
  ir::Value* value;
};

/// The iteration number and the condition of a loop: scalars, or one element where the body says so.
Result<ir::TensorType> loop_counter_type(const Draft& draft, const pb::ValueInfoProto& input, size_t i) {
  ir::TensorType type = ir::TensorType::of(i == 0 ? DType::s64 : DType::boolean, {});
  if (input.type().value_case() == pb::TypeProto::VALUE_NOT_SET) return type;
  Symbols symbols;
  NARROW_TRY(const ir::TensorType given,
             read_type(input, draft.source.location() + ", body input '" + input.name() + "'", symbols));
  if (given.dtype != type.dtype || given.rank() > 1)
    return draft.invalid("a body that counts in int64 and asks in bool", ir::to_string(given));
  return given.rank() == 1 ? ir::TensorType::of(type.dtype, {1}) : type;
}

/// The types of a body's own inputs. Only element types: a loop may change the shapes that its first call
/// sees. Where the file leaves the type out, it is that of the node's input at that place.
Result<ir::TensorType> body_input_type(const Draft& draft, const pb::ValueInfoProto& input, size_t i) {
  if (draft.op == ir::Op::Loop && i < 2) return loop_counter_type(draft, input, i);
  Symbols symbols;
  if (input.type().value_case() != pb::TypeProto::VALUE_NOT_SET) {
    NARROW_TRY(const ir::TensorType type,
               read_type(input, draft.source.location() + ", body input '" + input.name() + "'", symbols));
    return ir::TensorType::unranked(type.dtype);
  }
  if (i >= draft.source.own_inputs || draft.input(i) == nullptr)
    return draft.invalid("typed inputs of the body", "'" + input.name() + "' without a type");
  return ir::TensorType::unranked(draft.input(i)->type.dtype);
}

Status define_body_inputs(const Draft& draft, const SourceGraph& source, const std::vector<Capture>& captures,
                          GraphBuilder& inner, ExternalFiles& files) {
  for (size_t i = 0; i < source.initializers.size(); ++i) {
    const std::string& name = source.initializers[i];
    NARROW_TRY(Tensor value, read_tensor(source.proto->initializer(static_cast<int>(i)),
                                         "initializer '" + name + "'", files));
    inner.define(name, inner.graph.add_constant(name, std::move(value)));
  }
  for (size_t i = 0; i < source.inputs.size(); ++i) {
    const std::string& name = source.inputs[i];
    if (name.empty() || inner.find(name) != nullptr)
      return draft.invalid("body inputs with names of their own", "'" + name + "'");
    NARROW_TRY(ir::TensorType type, body_input_type(draft, source.proto->input(static_cast<int>(i)), i));
    inner.define(name, inner.graph.add_input(name, std::move(type)));
  }
  // A branch that is not taken need not fit the shapes: what it captures has an element type and no more.
  const bool is_branch = draft.op == ir::Op::If;
  for (const auto& [name, value] : captures)
    if (inner.find(name) == nullptr)
      inner.define(name, value->is_constant() ? inner.graph.add_constant(name, value->constant())
                         : is_branch
                             ? inner.graph.add_input(name, ir::TensorType::unranked(value->type.dtype))
                             : inner.graph.add_input(name, value->type));
    else if (!value->is_constant())
      return draft.invalid("body values with names of their own", "'" + name + "'");
  return {};
}

Result<ir::Graph> build_body(const Draft& draft, const SourceGraph& source,
                             const std::vector<Capture>& captures, ExternalFiles& files) {
  std::set<std::string> given(source.inputs.begin(), source.inputs.end());
  given.insert(source.initializers.begin(), source.initializers.end());
  for (const Capture& capture : captures) given.insert(capture.name);
  NARROW_TRY(const std::vector<SourceNode> nodes, in_order(source.nodes, given));
  std::set<std::string> reserved = given;
  for (const SourceNode& node : nodes) reserved.insert(node.outputs.begin(), node.outputs.end());
  GraphBuilder inner(std::move(reserved));
  NARROW_DO(define_body_inputs(draft, source, captures, inner, files));
  for (const SourceNode& node : nodes) NARROW_DO(add_node(node, inner, files));
  std::set<std::string> names;
  for (const std::string& name : source.outputs) {
    ir::Value* value = inner.find(name);
    if (value == nullptr)
      return draft.invalid("a body that makes its outputs", "'" + name + "' made by nobody");
    std::string unique = name;  // a body may return one value twice
    while (!names.insert(unique).second) unique += "_";
    inner.graph.add_output(unique, value);
  }
  inner.graph.remove_dead();
  NARROW_DO(ir::verify(inner.graph));
  return std::move(inner.graph);
}

/// Bodies become graph attributes. Values they read from outside become inputs of the node behind its own,
/// and of every body behind its own, in the same order; "captures" says how many. Constants are copied
/// inside.
Status add_subgraphs(Draft& draft, GraphBuilder& /*builder*/, ExternalFiles& files) {
  const SourceNode& source = draft.source;
  std::vector<Capture> captures;
  for (size_t i = source.own_inputs; i < source.inputs.size(); ++i)
    captures.push_back({source.inputs[i], draft.input(i)});
  for (const auto& [name, graph] : source.subgraphs) {
    NARROW_TRY(ir::Graph body, build_body(draft, *graph, captures, files));
    draft.attrs[name] = std::make_shared<ir::Graph>(std::move(body));
  }
  draft.inputs.resize(source.own_inputs);
  for (const Capture& capture : captures)
    if (!capture.value->is_constant()) draft.inputs.push_back(capture.value);
  draft.attrs["captures"] = static_cast<int64_t>(draft.inputs.size() - source.own_inputs);
  return {};
}

}  // namespace

Status add_node(const SourceNode& node, GraphBuilder& builder, ExternalFiles& files) {
  const std::optional<Rule> rule = find_rule(node.domain, node.op_type);
  if (!rule) return unknown_operator(node);
  if (node.opset < rule->since)
    return invalid_model(node.location(),
                         fmt::format("opset {} or newer, which has this operator", rule->since),
                         fmt::format("opset {}", node.opset), "export the model again with a newer opset");
  Draft draft{node, rule->op, {}, node.outputs, {}};
  NARROW_DO(resolve_inputs(draft, builder));
  NARROW_TRY(draft.attrs, attributes_of(node, files));
  if (!node.subgraphs.empty()) NARROW_DO(add_subgraphs(draft, builder, files));
  if (draft.string_attr("auto_pad") == "NOTSET")
    draft.attrs.erase("auto_pad");  // says no more than its absence
  if (rule->op != ir::Op::Split)    // there every output takes its share, named or not
    while (!draft.outputs.empty() && draft.outputs.back().empty()) draft.outputs.pop_back();
  if (draft.outputs.empty()) return draft.invalid("at least one output", "none");
  if (rule->rewrite != nullptr) NARROW_DO(rule->rewrite(draft, builder));
  if (draft.done) return {};
  NARROW_DO(check_attributes(draft));
  return builder.add(std::move(draft));
}

}  // namespace narrow::onnx
