#include "onnx/export.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <limits>

#include "ir/schema.h"
#include "onnx/attributes.h"
#include "onnx/export_floats.h"
#include "onnx/export_names.h"
#include "onnx/graph_types.h"
#include "onnx/tensors.h"

namespace narrow::onnx {
namespace {

constexpr int64_t kMaxModelBytes = std::numeric_limits<int>::max();  // of one protobuf message
constexpr int64_t kMicrosoftOpset = 1;

Error unsupported(std::string subject, std::string expected, std::string got, std::string hint = {}) {
  return Error{Code::unsupported, std::move(subject), std::move(expected), std::move(got), std::move(hint)};
}

// ---------------------------------------------------------------- what a portable file can hold

Status check_portable(const ir::Graph& graph) {
  int64_t bytes = 0;
  for (const ir::Value* value : graph.values()) {
    const std::string subject =
        value->producer() != nullptr ? value->producer()->location() : "value '" + value->name + "'";
    if (value->type.quant)
      return unsupported(subject, "a portable graph, with QuantizeLinear and DequantizeLinear",
                         "the quantized type " + to_string(value->type),
                         "export the graph before it is lowered");
    if (value->type.dtype == DType::undefined)
      return unsupported(subject, "an element type", "none inferred");
    if (value->is_constant()) bytes += value->constant().bytes();
  }
  if (bytes > kMaxModelBytes)
    return unsupported("model", "constants of less than 2 GB in one .onnx file",
                       fmt::format("{} bytes", bytes), "write a .narrow file, or quantize to fewer bits");
  for (const ir::Node* node : graph.nodes()) {
    const ir::OpSchema& schema = ir::schema(node->op());
    if (schema.domain == "narrow")
      return unsupported(node->location(), "standard ONNX operators", "an operator of narrow's engine",
                         "export the graph before it is lowered");
    if (schema.domain.empty() && schema.since > kExportOpset)
      return unsupported(node->location(), fmt::format("operators of opset {}", kExportOpset),
                         fmt::format("one of opset {}", schema.since));
  }
  return {};
}

// ---------------------------------------------------------------- writing

Status write_node(const ir::Node& node, const FileNames& names, pb::NodeProto* proto) {
  for (const ir::Value* input : node.inputs()) proto->add_input(input == nullptr ? "" : names.of.at(input));
  for (const ir::Value* output : node.outputs()) proto->add_output(names.of.at(output));
  proto->set_op_type(ir::to_string(node.op()));
  proto->set_name(node.name.empty() ? names.of.at(node.output()) : node.name);
  const std::string& domain = ir::schema(node.op()).domain;
  if (!domain.empty()) proto->set_domain(domain);
  for (const auto& [name, value] : node.attrs) {
    // Opset 21 does not have these yet: it computes in the scale's type, which is float here, and gives
    // float.
    if (node.op() == ir::Op::QuantizeLinear && name == "precision") continue;
    if (node.op() == ir::Op::DequantizeLinear && name == "output_dtype") continue;
    NARROW_DO(write_attribute(value, name, node.location(), proto->add_attribute()));
  }
  return {};
}

/// Initializers in the order in which nodes read them, then those that are only returned.
void write_initializers(const ir::Graph& graph, const FileNames& names, pb::GraphProto* proto) {
  std::set<const ir::Value*> written;
  const auto write = [&](const ir::Value* value) {
    if (value == nullptr || !value->is_constant() || !written.insert(value).second) return;
    write_tensor(value->constant(), names.of.at(value), proto->add_initializer());
  };
  for (const ir::Node* node : graph.nodes())
    for (const ir::Value* input : node->inputs()) write(input);
  for (const ir::GraphOutput& output : graph.outputs()) write(output.value);
}

Status write_graph(const ir::Graph& graph, const FileNames& names, pb::GraphProto* proto) {
  proto->set_name(graph.name.empty() ? "graph" : graph.name);
  for (const ir::Node* node : graph.nodes()) NARROW_DO(write_node(*node, names, proto->add_node()));
  for (const ir::GraphOutput& copy : names.copies) {
    pb::NodeProto* identity = proto->add_node();
    identity->set_op_type("Identity");
    identity->set_name(copy.name);
    identity->add_input(names.of.at(copy.value));
    identity->add_output(copy.name);
  }
  write_initializers(graph, names, proto);
  for (const ir::Value* input : graph.inputs())
    write_type(input->type, names.of.at(input), proto->add_input());
  for (const ir::GraphOutput& output : graph.outputs())
    write_type(output.value->type, output.name, proto->add_output());
  return {};
}

void write_header(const ir::Graph& graph, pb::ModelProto& model) {
  model.set_ir_version(kExportIrVersion);
  model.set_producer_name("narrow");
  pb::OperatorSetIdProto* standard = model.add_opset_import();
  standard->set_domain("");
  standard->set_version(kExportOpset);
  for (const ir::Node* node : graph.nodes()) {
    if (ir::schema(node->op()).domain.empty()) continue;
    pb::OperatorSetIdProto* microsoft = model.add_opset_import();
    microsoft->set_domain("com.microsoft");
    microsoft->set_version(kMicrosoftOpset);
    return;
  }
}

Result<std::string> serialize(const pb::ModelProto& model) {
  const size_t bytes = model.ByteSizeLong();
  if (bytes > static_cast<size_t>(kMaxModelBytes))
    return unsupported("model", "less than 2 GB in one .onnx file", fmt::format("{} bytes", bytes),
                       "write a .narrow file, or quantize to fewer bits");
  std::string text;
  text.reserve(bytes);
  google::protobuf::io::StringOutputStream stream(&text);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  const bool complete = model.SerializeToCodedStream(&coded);
  coded.Trim();
  if (!complete || coded.HadError() || text.size() != bytes)
    return Error{
        .code = Code::internal, .subject = "model", .expected = "a complete message", .got = "a partial one"};
  return text;
}

}  // namespace

Result<std::string> export_bytes(const ir::Graph& graph) {
  NARROW_DO(check_portable(graph));
  ir::Graph portable = graph.clone();
  NARROW_DO(widen_narrow_floats(portable));
  NARROW_TRY(const FileNames names, name_values(portable));
  pb::ModelProto model;
  write_header(portable, model);
  NARROW_DO(write_graph(portable, names, model.mutable_graph()));
  return serialize(model);
}

}  // namespace narrow::onnx
