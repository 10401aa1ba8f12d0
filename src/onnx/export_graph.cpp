#include "onnx/export_graph.h"

#include "ir/schema.h"
#include "onnx/attributes.h"
#include "onnx/export_names.h"
#include "onnx/graph_types.h"
#include "onnx/tensors.h"

namespace narrow::onnx {
namespace {

using Body = std::shared_ptr<ir::Graph>;

class Writer {
 public:
  Status model(const ir::Graph& graph, pb::GraphProto* proto) {
    NARROW_TRY(const FileNames names, name_values(graph, taken_));
    return write(graph, names, graph.inputs().size(), proto);
  }

 private:
  Status write(const ir::Graph& graph, const FileNames& names, size_t own_inputs, pb::GraphProto* proto) {
    proto->set_name(graph.name.empty() ? "graph" : graph.name);
    for (const ir::Node* node : graph.nodes()) NARROW_DO(write_node(*node, names, proto->add_node()));
    for (const ir::GraphOutput& copy : names.copies) {
      pb::NodeProto* identity = proto->add_node();
      identity->set_op_type("Identity");
      identity->set_name(node_name(copy.name));
      identity->add_input(names.of.at(copy.value));
      identity->add_output(copy.name);
    }
    write_initializers(graph, names, proto);
    for (size_t i = 0; i < own_inputs; ++i)
      write_type(graph.inputs()[i]->type, names.of.at(graph.inputs()[i]), proto->add_input());
    for (size_t i = 0; i < names.outputs.size(); ++i)
      write_type(graph.outputs()[i].value->type, names.outputs[i], proto->add_output());
    return {};
  }

  Status write_node(const ir::Node& node, const FileNames& names, pb::NodeProto* proto) {
    const size_t captures = static_cast<size_t>(node.int_attr("captures", 0)),
                 own = node.inputs().size() - captures;
    std::vector<std::string> captured;
    for (size_t i = 0; i < node.inputs().size(); ++i) {
      const ir::Value* input = node.inputs()[i];
      const std::string name = input == nullptr ? "" : names.of.at(input);
      i < own ? proto->add_input(name) : captured.push_back(name);
    }
    for (const ir::Value* output : node.outputs()) proto->add_output(names.of.at(output));
    proto->set_op_type(ir::to_string(node.op()));
    proto->set_name(node_name(node.name.empty() ? names.of.at(node.output()) : node.name));
    const std::string& domain = ir::schema(node.op()).domain;
    if (!domain.empty()) proto->set_domain(domain);
    for (const auto& [name, value] : node.attrs) {
      // Opset 21 does not have these yet: it computes in the scale's type, which is float here, and gives
      // float.
      if (node.op() == ir::Op::QuantizeLinear && name == "precision") continue;
      if (node.op() == ir::Op::DequantizeLinear && name == "output_dtype") continue;
      if (name == "captures") continue;  // ours: the body's inputs that stand for outer values
      if (const auto* body = std::get_if<Body>(&value))
        NARROW_DO(write_body(**body, name, captured, proto->add_attribute()));
      else
        NARROW_DO(write_attribute(value, name, node.location(), proto->add_attribute()));
    }
    return {};
  }

  Status write_body(const ir::Graph& body, const std::string& attribute,
                    const std::vector<std::string>& captured, pb::AttributeProto* proto) {
    proto->set_name(attribute);
    proto->set_type(pb::AttributeProto::GRAPH);
    const FileNames names = name_body(body, captured, taken_);
    NARROW_DO(write(body, names, body.inputs().size() - captured.size(), proto->mutable_g()));
    if (proto->g().name() == "graph") proto->mutable_g()->set_name(attribute);
    return {};
  }

  /// Initializers in the order in which nodes read them, then those that are only returned.
  static void write_initializers(const ir::Graph& graph, const FileNames& names, pb::GraphProto* proto) {
    std::set<const ir::Value*> written;
    const auto write_once = [&](const ir::Value* value) {
      if (value == nullptr || !value->is_constant() || !written.insert(value).second) return;
      write_tensor(value->constant(), names.of.at(value), proto->add_initializer());
    };
    for (const ir::Node* node : graph.nodes())
      for (const ir::Value* input : node->inputs()) write_once(input);
    for (const ir::GraphOutput& output : graph.outputs()) write_once(output.value);
  }

  /// ONNX Runtime refuses a file in which two nodes have one name.
  std::string node_name(const std::string& wanted) {
    std::string name = wanted;
    for (int i = 1; !nodes_.insert(name).second; ++i) name = wanted + "_" + std::to_string(i);
    return name;
  }

  std::set<std::string> taken_;  // every name of a value in the file so far
  std::set<std::string> nodes_;  // and of its nodes
};

}  // namespace

Status write_graph(const ir::Graph& graph, pb::GraphProto* proto) { return Writer().model(graph, proto); }

}  // namespace narrow::onnx
