#include "artifact/artifact.h"

#include <array>
#include <cstring>
#include <fstream>
#include <future>
#include <set>

#include "artifact/container.h"
#include "artifact/sparse.h"
#include "base/file.h"
#include "base/memory.h"
#include "ir/merged.h"
#include "ir/schema.h"
#include "ir/text.h"

namespace narrow::artifact {
namespace {

Json ports_json(const std::vector<ir::Port>& ports) {
  Json list = Json::array();
  for (const ir::Port& port : ports) list.push_back({{"name", port.name}, {"type", ir::print(port.type)}});
  return list;
}

/// A list of the header.
Result<std::vector<ir::Port>> read_ports(const Json& header, const char* name, const std::string& subject) {
  const auto damaged = [&] {
    return Error{Code::invalid_model, subject,
                 std::string("a list '") + name + "' of names and types in the header", "something else",
                 "the file is damaged; build it again"};
  };
  std::vector<ir::Port> ports;
  const auto list = header.find(name);
  if (list == header.end() || !list->is_array()) return damaged();
  for (const Json& json : *list) {
    const bool texts = json.is_object() && json.contains("name") && json["name"].is_string() &&
                       json.contains("type") && json["type"].is_string();
    if (!texts) return damaged();
    Result<ir::TensorType> type = ir::parse_type(json["type"].get_ref<const std::string&>());
    if (!type.ok()) return damaged();
    ports.push_back({json["name"].get<std::string>(), std::move(type).value()});
  }
  return ports;
}

Error in_file(Error error, const std::filesystem::path& path) {
  error.subject = path.string() + (error.subject.empty() ? "" : ": " + error.subject);
  error.code = Code::invalid_model;
  return error;
}

}  // namespace

namespace {

/// Constants that are smaller without their zeros.
void append_sparse(const Package& package, ir::Blob& blob, Json& list) {
  constexpr int64_t kFewest = 1024;  // fewer elements are not worth a line of the header
  for (const ir::Value* value : package.graph.values()) {
    if (!value->is_constant() || value->constant().elements() < kFewest ||
        !can_be_sparse(value->constant().dtype()) || blob.packed.contains(value->constant().identity()))
      continue;
    const std::optional<SparseFill> fill = fill_of(*value);
    const SparseFill* zero = fill ? &*fill : nullptr;
    const std::optional<SparseConstant> sparse = make_sparse(value->constant(), zero);
    if (!sparse) continue;
    blob.packed.emplace(value->constant().identity(), list.size());
    list.push_back(append_sparse(*sparse, zero, blob));
  }
}

/// Appends the parts of what is packed to the blob; describes it for the header: constants of the graph, and
/// the weights of convolutions merged in the engine's graph (null where that is left out), which are its own.
void append_packed(const Package& package, const ir::Graph* engine, ir::Blob& blob, Json& list) {
  std::set<const void*> constants;
  for (const ir::Value* value : package.graph.values())
    if (value->is_constant()) constants.insert(value->constant().identity());
  if (engine != nullptr)
    for (const ir::Node* node : engine->nodes_of(ir::Op::FusedConv))
      if (ir::split_of_merged(*node) != nullptr) constants.insert(node->input(1)->constant().identity());
  for (const PackedConstant& packed : package.packed) {
    const void* identity = packed.constant.identity();
    if (!constants.contains(identity) || !blob.packed.emplace(identity, list.size()).second) continue;
    std::vector<int64_t> offsets;
    for (const AlignedBuffer& part : packed.parts) {
      blob.bytes.resize(static_cast<size_t>(round_up(static_cast<int64_t>(blob.bytes.size()), kCacheLine)));
      offsets.push_back(static_cast<int64_t>(blob.bytes.size()));
      blob.bytes.append(reinterpret_cast<const char*>(part.data()), static_cast<size_t>(part.bytes()));
    }
    list.push_back(to_json(packed, offsets));
  }
}

/// What a file is made of.
struct Contents {
  ir::Blob blob;
  Json packed = Json::array();
  std::string text, engine;
};

/// Nothing where the engine's graph would add too much. Packed weights of merged convolutions are not
/// counted: they were taken because the plan is faster with them.
std::optional<Contents> contents_of(const Package& package, const ir::Graph* engine) {
  Contents contents;
  append_sparse(package, contents.blob, contents.packed);
  append_packed(package, engine, contents.blob, contents.packed);
  contents.text = ir::print(package.graph, &contents.blob);
  if (engine == nullptr) return contents;
  const size_t shared = contents.blob.bytes.size();
  contents.engine = ir::print(*engine, &contents.blob);
  const auto most =
      static_cast<size_t>(static_cast<double>(shared + contents.text.size()) * package.engine->largest_share);
  if (contents.blob.bytes.size() - shared + contents.engine.size() > most) return std::nullopt;
  return contents;
}

}  // namespace

Status write(const std::filesystem::path& path, const Package& package) {
  std::optional<Contents> contents;
  if (package.engine) {
    NARROW_TRY(const ir::Graph engine, package.engine->load());
    contents = contents_of(package, &engine);
  }
  if (!contents) contents = contents_of(package, nullptr);
  const ir::Interface interface = ir::interface_of(package.graph);
  Json header = {{"format", "narrow"},
                 {"about", package.about},
                 {"inputs", ports_json(interface.inputs)},
                 {"outputs", ports_json(interface.outputs)}};
  if (!contents->packed.empty()) header["packed"] = contents->packed;
  if (!contents->engine.empty()) {
    for (const auto& [name, shape] : package.engine->shapes) header["engine"]["shapes"][name] = shape;
  }
  return write_file(path, pack(contents->blob.bytes, contents->text, std::move(header), contents->engine));
}

namespace {

/// One of the header's list: as a kernel reads it, or without its zeros and put together when the file is
/// opened.
struct PackedOrWidened {
  std::optional<PackedConstant> packed;
  Tensor widened;
};

/// Constants that are kept packed, as the graphs of a file name them: all share one tensor.
class PackedConstants {
 public:
  /// Sets `constant` of what is packed.
  PackedConstants(std::vector<PackedOrWidened>& list, std::string subject) : subject_(std::move(subject)) {
    for (PackedOrWidened& one : list) {
      if (one.packed) one.packed->constant = deferred_constant(*one.packed);
      tensors_.push_back(one.packed ? one.packed->constant : one.widened);
    }
  }

  Result<Tensor> get(int64_t number, DType dtype, const Shape& shape) const {
    const bool known = number >= 0 && number < static_cast<int64_t>(tensors_.size());
    const Tensor* tensor = known ? &tensors_[static_cast<size_t>(number)] : nullptr;
    if (tensor == nullptr || tensor->dtype() != dtype || tensor->elements() != elements_of(shape))
      return Error{Code::invalid_model, subject_ + ": packed " + std::to_string(number),
                   std::string("a packed constant ") + to_string(dtype) + to_string(shape),
                   tensor == nullptr ? "only " + std::to_string(tensors_.size()) : "another",
                   "the file is damaged; build it again"};
    return tensor->reshaped(shape);
  }

 private:
  std::vector<Tensor> tensors_;
  std::string subject_;
};

Result<std::vector<PackedOrWidened>> read_packed(const Sections& sections,
                                                 const std::shared_ptr<const MappedFile>& file,
                                                 const std::string& subject) {
  std::vector<PackedOrWidened> packed;
  const auto list = sections.header.find("packed");
  if (list == sections.header.end() || !list->is_array()) return packed;
  for (const Json& json : *list) {
    PackedOrWidened& one = packed.emplace_back();
    if (is_sparse(json)) {
      NARROW_TRY(one.widened, read_sparse(json, sections.blob, subject));
    } else {
      NARROW_TRY(one.packed, packed_from_json(json, sections.blob, file, subject));
    }
  }
  return packed;
}

/// The shapes the engine's graph is for; none when they are not shapes.
std::map<std::string, Shape> engine_shapes(const Json& header) {
  std::map<std::string, Shape> shapes;
  const Json& json = header["engine"];
  if (!json.contains("shapes") || !json["shapes"].is_object()) return shapes;
  for (const auto& [name, dims] : json["shapes"].items()) {
    Shape& shape = shapes[name];
    for (const Json& dim : dims) shape.push_back(dim.is_number_unsigned() ? dim.get<int64_t>() : -1);
  }
  return shapes;
}

/// What both graphs of a file are read from.
struct Source {
  std::shared_ptr<const MappedFile> file;
  std::filesystem::path path;
  std::span<const std::byte> blob;
  PackedConstants packed;

  Result<ir::Graph> graph(std::string_view text) const {
    const ir::PackedSource constants = [this](int64_t number, DType dtype, const Shape& shape) {
      return packed.get(number, dtype, shape);
    };
    Result<ir::Graph> graph = ir::parse(text, blob, file, constants);
    if (!graph.ok()) return in_file(std::move(graph).error(), path);
    if (Status status = ir::verify(*graph); !status.ok()) return in_file(std::move(status).error(), path);
    return graph;
  }
};

Result<Opened> from_sections(Sections sections, const std::shared_ptr<const MappedFile>& file,
                             const std::filesystem::path& path) {
  Opened opened;
  NARROW_TRY(opened.interface.inputs, read_ports(sections.header, "inputs", path.string()));
  NARROW_TRY(opened.interface.outputs, read_ports(sections.header, "outputs", path.string()));
  NARROW_TRY(std::vector<PackedOrWidened> list, read_packed(sections, file, path.string()));
  PackedConstants constants(list, path.string());
  for (PackedOrWidened& one : list)
    if (one.packed) opened.packed.push_back(std::move(*one.packed));
  const auto source = std::make_shared<const Source>(Source{file, path, sections.blob, std::move(constants)});
  opened.portable = [source, text = sections.graph, interface = opened.interface]() -> Result<ir::Graph> {
    NARROW_TRY(ir::Graph graph, source->graph(text));
    if (ir::interface_of(graph) != interface)
      return Error{Code::invalid_model, source->path.string(), "the inputs and outputs its header names",
                   "a graph of others", "the file is damaged; build it again"};
    return graph;
  };
  if (!sections.engine.empty())
    opened.engine = EngineGraph{engine_shapes(sections.header),
                                [source, text = sections.engine] { return source->graph(text); }};
  opened.about = std::move(sections.header["about"]);
  return opened;
}

/// A file that is damaged is that, whatever else is wrong with it.
Result<Opening> start(const std::filesystem::path& path) {
  NARROW_TRY(const auto file, MappedFile::open(path));
  NARROW_TRY(Sections sections, unpack(file->bytes(), path.string()));
  Opening opening;
  opening.intact =
      std::async(std::launch::async, [file, name = path.string()] { return check_sum(file->bytes(), name); });
  Result<Opened> opened =
      within_memory(path.string(), [&] { return from_sections(std::move(sections), file, path); });
  if (!opened.ok()) {
    NARROW_DO(opening.intact.get());
    return std::move(opened).error();
  }
  opening.file = std::move(opened).value();
  return opening;
}

}  // namespace

Result<Opening> start_reading(const std::filesystem::path& path) {
  return within_memory(path.string(), [&] { return start(path); });
}

Result<Opened> read(const std::filesystem::path& path) {
  NARROW_TRY(Opening opening, start_reading(path));
  NARROW_DO(opening.intact.get());
  return std::move(opening.file);
}

bool is_artifact(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, kMagic.size()> start{};
  file.read(start.data(), start.size());
  return file.gcount() == static_cast<std::streamsize>(start.size()) &&
         std::memcmp(start.data(), kMagic.data(), kVersionAt) == 0;
}

}  // namespace narrow::artifact
