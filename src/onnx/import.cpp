#include "onnx/import.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "base/memory.h"
#include "ir/schema.h"
#include "onnx/finite.h"
#include "onnx/graph_types.h"
#include "onnx/nodes.h"
#include "onnx/tensors.h"

namespace narrow::onnx {
namespace {

Error invalid_model(std::string subject, std::string expected, std::string got, std::string hint = {}) {
  return Error{Code::invalid_model, std::move(subject), std::move(expected), std::move(got), std::move(hint)};
}

// ---------------------------------------------------------------- what the file must have

Status check_header(const pb::ModelProto& model) {
  if (model.ir_version() < 1 || !model.has_graph())
    return invalid_model("model", "an ir_version and a graph", "a file without them",
                         "the file may be no ONNX model");
  if (model.opset_import_size() == 0)
    return invalid_model("model", "an opset_import", "none", "export the model again");
  for (const auto& import : model.opset_import()) {
    if (!import.domain().empty() && import.domain() != "ai.onnx") continue;
    if (import.version() < kOldestOpset || import.version() > kNewestOpset)
      return Error{.code = Code::unsupported,
                   .subject = "model",
                   .expected = fmt::format("an ai.onnx opset from {} to {}", kOldestOpset, kNewestOpset),
                   .got = fmt::format("opset {}", import.version()),
                   .hint = "convert it with onnx.version_converter, or export it again with opset 17"};
  }
  if (model.graph().sparse_initializer_size() > 0)
    return Error{.code = Code::unsupported,
                 .subject = "initializer '" + model.graph().sparse_initializer(0).values().name() + "'",
                 .expected = "dense initializers",
                 .got = "a sparse one"};
  if (model.graph().output_size() == 0) return invalid_model("graph", "at least one output", "none");
  return {};
}

// ---------------------------------------------------------------- inputs and initializers

/// Initializers become constants, also those that are listed as inputs (files of IR version 3 list them all).
Status add_initializers(pb::GraphProto& proto, GraphBuilder& builder, ExternalFiles& files) {
  for (pb::TensorProto& tensor : *proto.mutable_initializer()) {
    const std::string subject = "initializer '" + tensor.name() + "'";
    if (tensor.name().empty() || builder.find(tensor.name()) != nullptr)
      return invalid_model(subject, "a name of its own",
                           tensor.name().empty() ? "no name" : "a name given twice");
    NARROW_TRY(Tensor value, read_tensor(tensor, subject, files));
    delete tensor.release_raw_data();  // copied: a model need not lie in memory twice
    builder.define(tensor.name(), builder.graph.add_constant(tensor.name(), std::move(value)));
  }
  return {};
}

Status add_inputs(const pb::GraphProto& proto, GraphBuilder& builder) {
  Symbols symbols;
  std::set<std::string> seen;
  for (const pb::ValueInfoProto& input : proto.input()) {
    const std::string subject = "input '" + input.name() + "'";
    if (input.name().empty() || !seen.insert(input.name()).second)
      return invalid_model(subject, "a name of its own",
                           input.name().empty() ? "no name" : "a name given twice");
    if (builder.find(input.name()) != nullptr) continue;  // an initializer
    NARROW_TRY(ir::TensorType type, read_type(input, subject, symbols));
    builder.define(input.name(), builder.graph.add_input(input.name(), std::move(type)));
  }
  return {};
}

// ---------------------------------------------------------------- outputs

Status add_outputs(const pb::GraphProto& proto, GraphBuilder& builder) {
  Symbols symbols;
  std::set<std::string> seen;
  for (const pb::ValueInfoProto& output : proto.output()) {
    const std::string subject = "output '" + output.name() + "'";
    ir::Value* value = builder.find(output.name());
    if (value == nullptr || !seen.insert(output.name()).second)
      return invalid_model(subject, "a value of the graph, listed once",
                           value == nullptr ? "no such value" : "it twice");
    if (output.type().value_case() != pb::TypeProto::VALUE_NOT_SET) {
      NARROW_TRY(const ir::TensorType declared, read_type(output, subject, symbols));
      if (declared.dtype != value->type.dtype)
        return invalid_model(subject, fmt::format("{}, as declared", to_string(declared.dtype)),
                             fmt::format("{}, as computed", to_string(value->type.dtype)));
      // Inference may not know how many dimensions there are; what they are, only a run can tell.
      if (!value->type.ranked && declared.ranked) {
        value->type.ranked = true;
        value->type.dims.resize(declared.dims.size());
      }
    }
    builder.graph.add_output(output.name(), value);
  }
  return {};
}

// ---------------------------------------------------------------- all together

std::set<std::string> names_given(const pb::GraphProto& graph) {
  std::set<std::string> given;
  for (const auto& input : graph.input()) given.insert(input.name());
  for (const auto& tensor : graph.initializer()) given.insert(tensor.name());
  return given;
}

void describe(const pb::ModelProto& model, ir::Graph& graph) {
  graph.name = model.graph().name();
  graph.metadata["ir_version"] = std::to_string(model.ir_version());
  graph.metadata["producer"] =
      model.producer_name() + (model.producer_version().empty() ? "" : " " + model.producer_version());
  for (const auto& property : model.metadata_props())
    if (property.key().starts_with(kOwnMetadata)) graph.metadata[property.key()] = property.value();
  for (const auto& import : model.opset_import())
    if (import.domain().empty() || import.domain() == "ai.onnx")
      graph.metadata["opset"] = std::to_string(import.version());
}

Result<ir::Graph> build_graph(pb::ModelProto& model, ExternalFiles& files, const ImportOptions& options) {
  NARROW_DO(check_header(model));
  const std::set<std::string> given = names_given(model.graph());
  NARROW_TRY(std::vector<SourceNode> nodes, flatten(model));
  NARROW_TRY(nodes, in_order(std::move(nodes), given));
  std::set<std::string> reserved = given;
  for (const SourceNode& node : nodes) reserved.insert(node.outputs.begin(), node.outputs.end());

  GraphBuilder builder(std::move(reserved));
  NARROW_DO(add_initializers(*model.mutable_graph(), builder, files));
  NARROW_DO(add_inputs(model.graph(), builder));
  for (const SourceNode& node : nodes) NARROW_DO(add_node(node, builder, files));
  NARROW_DO(add_outputs(model.graph(), builder));

  ir::Graph graph = std::move(builder.graph);
  describe(model, graph);
  graph.remove_dead();  // initializers nobody reads, above all
  NARROW_DO(graph.sort());
  NARROW_DO(ir::infer_types(graph));
  NARROW_DO(ir::verify(graph));
  if (options.check_finite) NARROW_DO(check_finite(graph));
  NARROW_DO(check_scales(graph));
  return graph;
}

}  // namespace

namespace {

Result<ImportedModel> import_any(std::span<const std::byte> bytes, const std::filesystem::path& folder,
                                 const ImportOptions& options) {
  NARROW_TRY(const auto model, parse_model(bytes));
  ExternalFiles files(folder);
  NARROW_TRY(ir::Graph graph, build_graph(*model, files, options));
  ImportedModel imported{std::move(graph), {}, static_cast<int64_t>(bytes.size())};
  Hasher hasher;
  hasher.add(bytes);
  for (const auto& [location, file] : files.opened()) {
    hasher.add(file->bytes());
    imported.file_bytes += static_cast<int64_t>(file->bytes().size());
  }
  imported.hash = hasher.hex();
  return imported;
}

}  // namespace

Result<ImportedModel> import_bytes(std::span<const std::byte> bytes, const std::filesystem::path& folder,
                                   const ImportOptions& options) {
  return within_memory("model", [&] { return import_any(bytes, folder, options); });
}

Result<ImportedModel> import_file(const std::filesystem::path& path, const ImportOptions& options) {
  NARROW_TRY(const auto file, MappedFile::open(path));
  Result<ImportedModel> imported = import_bytes(file->bytes(), path.parent_path(), options);
  if (!imported.ok()) {
    imported.error().subject += " in " + path.filename().string();
    return imported;
  }
  imported->graph.metadata["file"] = path.filename().string();
  return imported;
}

}  // namespace narrow::onnx
