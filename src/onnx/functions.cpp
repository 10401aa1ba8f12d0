#include "onnx/functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace narrow::onnx {
namespace {

constexpr int kMaxDepth = 32;
constexpr size_t kMaxNodes = 200'000;

using Opsets = std::map<std::string, int64_t>;
using Nodes = google::protobuf::RepeatedPtrField<pb::NodeProto>;

std::string plain_domain(const std::string& domain) { return domain == "ai.onnx" ? "" : domain; }

template <class Imports>
Opsets opsets_of(const Imports& imports) {
  Opsets opsets;
  for (const auto& import : imports) opsets[plain_domain(import.domain())] = import.version();
  return opsets;
}

/// What names and attribute references mean inside one function body; the main graph has the empty one.
struct Scope {
  Opsets opsets;
  std::string prefix;
  bool main = true;
  std::map<std::string, std::string> names;
  std::map<std::string, const pb::AttributeProto*> attributes;
};

class Flattener {
 public:
  explicit Flattener(const pb::ModelProto& model) : model_(model) {
    for (const auto& f : model.functions())
      functions_[{plain_domain(f.domain()), f.name(), f.overload()}] = &f;
    if (functions_.empty()) return;
    for (const auto& node : model.graph().node()) taken_.insert(node.output().begin(), node.output().end());
    for (const auto& input : model.graph().input()) taken_.insert(input.name());
    for (const auto& tensor : model.graph().initializer()) taken_.insert(tensor.name());
  }

  Status run() {
    Scope scope;
    scope.opsets = opsets_of(model_.opset_import());
    return body(model_.graph().node(), scope, 0);
  }

  std::vector<SourceNode> nodes;

 private:
  Status body(const Nodes& protos, Scope& scope, int depth) {
    for (const auto& proto : protos) {
      NARROW_TRY(SourceNode node, resolve(proto, scope, depth));
      const auto function = functions_.find({node.domain, node.op_type, proto.overload()});
      if (function != functions_.end()) {
        NARROW_DO(inline_call(node, *function->second, scope, depth + 1));
      } else {
        NARROW_DO(find_opset(node, scope));
        nodes.push_back(std::move(node));
      }
      if (++seen_ > kMaxNodes) return too_large(proto.op_type(), "at most 200000 nodes");
    }
    return {};
  }

  Result<SourceNode> resolve(const pb::NodeProto& proto, Scope& scope, int depth) {
    SourceNode node;
    node.op_type = proto.op_type();
    node.domain = plain_domain(proto.domain());
    node.name = proto.name();
    for (const auto& name : proto.input()) node.inputs.push_back(outer_name(name, scope));
    for (const auto& name : proto.output()) node.outputs.push_back(outer_name(name, scope));
    const auto named =
        std::find_if(node.outputs.begin(), node.outputs.end(), [](const auto& n) { return !n.empty(); });
    if (!node.name.empty())
      node.name = scope.prefix + node.name;
    else if (named != node.outputs.end())
      node.name = *named;
    node.own_inputs = node.inputs.size();
    for (const auto& attribute : proto.attribute()) {
      if (attribute.has_g()) {
        NARROW_DO(add_subgraph(node, attribute, scope, depth + 1));
      } else if (attribute.ref_attr_name().empty()) {
        node.attributes[attribute.name()] = &attribute;
      } else if (const auto it = scope.attributes.find(attribute.ref_attr_name());
                 it != scope.attributes.end()) {
        node.attributes[attribute.name()] = it->second;  // not given by the caller: stays absent
      }
    }
    return node;
  }

  /// The body's values share the scope's names: ONNX lets no inner name hide an outer one.
  Status add_subgraph(SourceNode& node, const pb::AttributeProto& attribute, Scope& scope, int depth) {
    if (depth > kMaxDepth) return too_large(node.op_type, "subgraphs nested at most 32 deep");
    auto graph = std::make_shared<SourceGraph>();
    graph->proto = &attribute.g();
    for (const auto& input : attribute.g().input()) graph->inputs.push_back(outer_name(input.name(), scope));
    for (const auto& output : attribute.g().output())
      graph->outputs.push_back(outer_name(output.name(), scope));
    for (const auto& tensor : attribute.g().initializer())
      graph->initializers.push_back(outer_name(tensor.name(), scope));
    std::vector<SourceNode> around = std::exchange(nodes, {});
    const Status done = body(attribute.g().node(), scope, depth);
    graph->nodes = std::exchange(nodes, std::move(around));
    NARROW_DO(done);
    if (node.subgraphs.empty()) node.inputs.resize(std::max(node.inputs.size(), least_inputs(node.op_type)));
    if (node.subgraphs.empty()) node.own_inputs = node.inputs.size();
    for (const std::string& name : graph->captures())
      if (std::find(node.inputs.begin() + static_cast<std::ptrdiff_t>(node.own_inputs), node.inputs.end(),
                    name) == node.inputs.end())
        node.inputs.push_back(name);
    node.subgraphs[attribute.name()] = std::move(graph);
    return {};
  }

  /// Optional inputs keep their place before the captured values.
  static size_t least_inputs(const std::string& op_type) { return op_type == "Loop" ? 2 : 1; }

  std::string outer_name(const std::string& name, Scope& scope) {
    if (scope.main || name.empty()) return name;
    auto [it, is_new] = scope.names.try_emplace(name);
    if (is_new) it->second = fresh(scope.prefix + name);
    return it->second;
  }

  std::string fresh(const std::string& base) {
    std::string name = base;
    for (int64_t i = 1; !taken_.insert(name).second; ++i) name = base + "_" + std::to_string(i);
    return name;
  }

  Status find_opset(SourceNode& node, const Scope& scope) {
    const auto import = scope.opsets.find(node.domain);
    if (import != scope.opsets.end()) {
      node.opset = import->second;
    } else if (node.domain.empty()) {
      return Error{.code = Code::invalid_model,
                   .subject = node.location(),
                   .expected = "an opset_import of ai.onnx",
                   .got = "none",
                   .hint = "export the model again"};
    } else {
      node.opset = 1;
    }
    return {};
  }

  Status inline_call(const SourceNode& call, const pb::FunctionProto& function, const Scope& caller,
                     int depth) {
    if (depth > kMaxDepth)
      return too_large(call.op_type, "functions nested at most 32 deep, without recursion");
    if (call.inputs.size() > static_cast<size_t>(function.input_size()) ||
        call.outputs.size() > static_cast<size_t>(function.output_size()))
      return Error{.code = Code::invalid_model,
                   .subject = call.location(),
                   .expected = fmt::format("at most {} inputs and {} outputs, as its function has",
                                           function.input_size(), function.output_size()),
                   .got = fmt::format("{} and {}", call.inputs.size(), call.outputs.size())};
    Scope scope;
    scope.main = false;
    scope.opsets = opsets_of(function.opset_import());
    if (!scope.opsets.contains("") && caller.opsets.contains("")) scope.opsets[""] = caller.opsets.at("");
    scope.prefix = (call.name.empty() ? call.op_type : call.name) + "/";
    for (const auto& attribute : function.attribute_proto()) scope.attributes[attribute.name()] = &attribute;
    for (const auto& name : function.attribute())
      if (const auto it = call.attributes.find(name); it != call.attributes.end())
        scope.attributes[name] = it->second;
    for (const auto& attribute : function.attribute_proto())
      if (const auto it = call.attributes.find(attribute.name()); it != call.attributes.end())
        scope.attributes[attribute.name()] = it->second;
    bind_values(call, function, scope);
    return body(function.node(), scope, depth);
  }

  /// Formal names become the caller's; a formal output that is a formal input is passed on by an Identity.
  void bind_values(const SourceNode& call, const pb::FunctionProto& function, Scope& scope) {
    for (int i = 0; i < function.input_size(); ++i) {
      const auto at = static_cast<size_t>(i);
      scope.names[function.input(i)] = at < call.inputs.size() ? call.inputs[at] : "";
    }
    for (int i = 0; i < function.output_size(); ++i) {
      const auto at = static_cast<size_t>(i);
      if (at >= call.outputs.size() || call.outputs[at].empty()) continue;
      const auto [it, is_new] = scope.names.try_emplace(function.output(i), call.outputs[at]);
      if (is_new) continue;
      SourceNode copy;
      copy.op_type = "Identity";
      copy.name = call.name;
      copy.inputs = {it->second};
      copy.outputs = {call.outputs[at]};
      copy.opset = kExportOpset;
      nodes.push_back(std::move(copy));
    }
  }

  static Error too_large(const std::string& op_type, const char* expected) {
    return Error{.code = Code::unsupported,
                 .subject = "function '" + op_type + "'",
                 .expected = expected,
                 .got = "more"};
  }

  const pb::ModelProto& model_;
  std::map<std::tuple<std::string, std::string, std::string>, const pb::FunctionProto*> functions_;
  std::set<std::string> taken_;
  size_t seen_ = 0;  // nodes, those of subgraphs too
};

}  // namespace

std::vector<std::string> SourceGraph::captures() const {
  std::set<std::string> known(inputs.begin(), inputs.end());
  known.insert(initializers.begin(), initializers.end());
  for (const SourceNode& node : nodes) known.insert(node.outputs.begin(), node.outputs.end());
  std::vector<std::string> captured;
  const auto read = [&](const std::string& name) {
    if (!name.empty() && known.insert(name).second) captured.push_back(name);
  };
  for (const SourceNode& node : nodes) std::for_each(node.inputs.begin(), node.inputs.end(), read);
  std::for_each(outputs.begin(), outputs.end(), read);
  return captured;
}

std::string SourceNode::location() const { return fmt::format("{} '{}'", op_type, name); }

Result<std::vector<SourceNode>> flatten(const pb::ModelProto& model) {
  Flattener flattener(model);
  NARROW_DO(flattener.run());
  return std::move(flattener.nodes);
}

}  // namespace narrow::onnx
