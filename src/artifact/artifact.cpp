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

Json metadata_json(const ir::Graph& graph) {
  Json json = Json::object();
  for (const auto& [key, value] : graph.metadata) json[key] = value;
  return json;
}

void read_metadata(const Json& header, ir::Graph& graph) {
  const auto metadata = header.find("metadata");
  if (metadata == header.end() || !metadata->is_object()) return;
  for (const auto& [key, value] : metadata->items())
    if (value.is_string()) graph.metadata[key] = value.get<std::string>();
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
  Json header = {{"format", "narrow"}, {"about", package.about}, {"metadata", metadata_json(package.graph)}};
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

/// Constants that are kept packed, as the graphs of a file name them.
class PackedConstants {
 public:
  PackedConstants(const std::vector<PackedOrWidened>& list, std::string subject)
      : subject_(std::move(subject)) {
    for (const PackedOrWidened& one : list) tensors_.push_back(one.widened);
  }

  /// The first graph that names one makes it; others share it.
  Result<Tensor> get(int64_t number, DType dtype, const Shape& shape,
                     const std::vector<PackedOrWidened>* list) {
    const std::string name = subject_ + ": packed " + std::to_string(number);
    const bool known = number >= 0 && number < static_cast<int64_t>(tensors_.size());
    Tensor* tensor = known ? &tensors_[static_cast<size_t>(number)] : nullptr;
    if (tensor != nullptr && !tensor->defined() && list != nullptr) {
      NARROW_TRY(*tensor,
                 deferred_constant(*(*list)[static_cast<size_t>(number)].packed, dtype, shape, name));
    }
    if (tensor == nullptr || tensor->dtype() != dtype || tensor->elements() != elements_of(shape))
      return Error{Code::invalid_model, name,
                   std::string("a packed constant ") + to_string(dtype) + to_string(shape),
                   tensor == nullptr ? "only " + std::to_string(tensors_.size()) : "another",
                   "the file is damaged; build it again"};
    return tensor->reshaped(shape);
  }
  const Tensor& at(size_t number) const { return tensors_[number]; }

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

Result<ir::Graph> parse_verified(std::string_view text, std::span<const std::byte> blob,
                                 const std::shared_ptr<const MappedFile>& file,
                                 const ir::PackedSource& source, const std::filesystem::path& path) {
  Result<ir::Graph> graph = ir::parse(text, blob, file, source);
  if (!graph.ok()) return in_file(std::move(graph).error(), path);
  if (Status status = ir::verify(*graph); !status.ok()) return in_file(std::move(status).error(), path);
  return graph;
}

Result<Package> from_sections(Sections sections, const std::shared_ptr<const MappedFile>& file,
                              const std::filesystem::path& path) {
  Package package;
  NARROW_TRY(std::vector<PackedOrWidened> packed, read_packed(sections, file, path.string()));
  const auto constants = std::make_shared<PackedConstants>(packed, path.string());
  const ir::PackedSource source = [&](int64_t number, DType dtype, const Shape& shape) {
    return constants->get(number, dtype, shape, &packed);
  };
  NARROW_TRY(package.graph, parse_verified(sections.graph, sections.blob, file, source, path));
  for (size_t i = 0; i < packed.size(); ++i) {
    if (!packed[i].packed) continue;
    if (!constants->at(i).defined()) {  // the engine's graph alone reads it
      const kernels::ConvSpec& spec = packed[i].packed->spec;
      const kernels::ConvShape& s = spec.shape;
      const Shape shape =
          packed[i].packed->transposed ? Shape{s.c, s.oc} : Shape{s.oc, s.c / s.groups, s.kh, s.kw};
      NARROW_DO(constants->get(static_cast<int64_t>(i), spec.weights, shape, &packed));
    }
    packed[i].packed->constant = constants->at(i);
    package.packed.push_back(std::move(*packed[i].packed));
  }
  read_metadata(sections.header, package.graph);
  if (!sections.engine.empty())
    package.engine =
        EngineGraph{engine_shapes(sections.header),
                    [text = sections.engine, blob = sections.blob, file, constants, path] {
                      const ir::PackedSource shared = [&](int64_t number, DType dtype, const Shape& shape) {
                        return constants->get(number, dtype, shape, nullptr);
                      };
                      return parse_verified(text, blob, file, shared, path);
                    }};
  package.about = std::move(sections.header["about"]);
  return package;
}

/// The sum is computed while the graph is read, by threads of its own, which bring the file's pages in as
/// they meet them; a file that is damaged is that, whatever else is wrong with it.
Result<Package> read_any(const std::filesystem::path& path) {
  NARROW_TRY(const auto file, MappedFile::open(path));
  NARROW_TRY(Sections sections, unpack(file->bytes(), path.string()));
  std::future<Status> intact =
      std::async(std::launch::async, [&] { return check_sum(file->bytes(), path.string()); });
  Result<Package> package =
      within_memory(path.string(), [&] { return from_sections(std::move(sections), file, path); });
  NARROW_DO(intact.get());
  return package;
}

}  // namespace

Result<Package> read(const std::filesystem::path& path) {
  return within_memory(path.string(), [&] { return read_any(path); });
}

bool is_artifact(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, kMagic.size()> start{};
  file.read(start.data(), start.size());
  return file.gcount() == static_cast<std::streamsize>(start.size()) &&
         std::memcmp(start.data(), kMagic.data(), kVersionAt) == 0;
}

}  // namespace narrow::artifact
