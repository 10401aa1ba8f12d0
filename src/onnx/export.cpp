#include "onnx/export.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "ir/schema.h"
#include "onnx/export_floats.h"
#include "onnx/export_graph.h"
#include "onnx/export_older.h"
#include "onnx/proto.h"

namespace narrow::onnx {
namespace {

constexpr int64_t kMaxModelBytes = std::numeric_limits<int>::max();  // of one protobuf message
constexpr int64_t kMicrosoftOpset = 1;

Error unsupported(std::string subject, std::string expected, std::string got, std::string hint = {}) {
  return Error{Code::unsupported, std::move(subject), std::move(expected), std::move(got), std::move(hint)};
}

// ---------------------------------------------------------------- what a portable file can hold

/// The graph, then the bodies inside its nodes.
std::vector<const ir::Graph*> all_graphs(const ir::Graph& graph) {
  std::vector<const ir::Graph*> all = {&graph};
  for (size_t i = 0; i < all.size(); ++i)
    for (const ir::Node* node : all[i]->nodes())
      for (const auto& [name, value] : node->attrs)
        if (const auto* body = std::get_if<std::shared_ptr<ir::Graph>>(&value)) all.push_back(body->get());
  return all;
}

/// `bytes` grows by those of the constants.
Status check_values(const ir::Graph& graph, int64_t& bytes) {
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
  return {};
}

Status check_operators(const ir::Graph& graph) {
  for (const ir::Node* node : graph.nodes()) {
    const ir::OpSchema& schema = ir::schema(node->op());
    if (schema.domain == "narrow")
      return unsupported(node->location(), "standard ONNX operators", "an operator of narrow's engine",
                         "export the graph before it is lowered");
    if (schema.domain.empty() && schema.since > kExportOpset && !has_older_form(node->op()))
      return unsupported(node->location(), fmt::format("operators of opset {}", kExportOpset),
                         fmt::format("one of opset {}", schema.since));
  }
  return {};
}

Status check_portable(const ir::Graph& graph) {
  int64_t bytes = 0;
  for (const ir::Graph* each : all_graphs(graph)) {
    NARROW_DO(check_values(*each, bytes));
    NARROW_DO(check_operators(*each));
  }
  if (bytes <= kMaxModelBytes) return {};
  return unsupported("model", "constants of less than 2 GB in one .onnx file", fmt::format("{} bytes", bytes),
                     "write a .narrow file, or quantize to fewer bits");
}

// ---------------------------------------------------------------- writing

bool has_microsoft_operators(const ir::Graph& graph) {
  const std::vector<ir::Node*> nodes = graph.nodes();
  return std::any_of(nodes.begin(), nodes.end(),
                     [](const ir::Node* node) { return !ir::schema(node->op()).domain.empty(); });
}

void write_header(const ir::Graph& graph, pb::ModelProto& model) {
  model.set_ir_version(kExportIrVersion);
  model.set_producer_name("narrow");
  for (const auto& [key, text] : graph.metadata)
    if (key.starts_with(kOwnMetadata)) {
      auto* property = model.add_metadata_props();
      property->set_key(key);
      property->set_value(text);
    }
  pb::OperatorSetIdProto* standard = model.add_opset_import();
  standard->set_domain("");
  standard->set_version(kExportOpset);
  const std::vector<const ir::Graph*> graphs = all_graphs(graph);
  if (std::none_of(graphs.begin(), graphs.end(),
                   [](const ir::Graph* g) { return has_microsoft_operators(*g); }))
    return;
  pb::OperatorSetIdProto* microsoft = model.add_opset_import();
  microsoft->set_domain("com.microsoft");
  microsoft->set_version(kMicrosoftOpset);
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
  NARROW_DO(write_older(portable));
  pb::ModelProto model;
  write_header(portable, model);
  NARROW_DO(write_graph(portable, model.mutable_graph()));
  return serialize(model);
}

}  // namespace narrow::onnx
