#include "artifact/artifact.h"

#include <array>
#include <cstring>
#include <fstream>
#include <set>

#include "artifact/container.h"
#include "base/file.h"
#include "base/memory.h"
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

/// Appends the parts of what is packed to the blob; describes it for the header.
Json append_packed(const Package& package, ir::Blob& blob) {
  std::set<const void*> constants;
  for (const ir::Value* value : package.graph.values())
    if (value->is_constant()) constants.insert(value->constant().identity());
  Json list = Json::array();
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
  return list;
}

}  // namespace

Status write(const std::filesystem::path& path, const Package& package) {
  ir::Blob blob;
  const Json packed = append_packed(package, blob);
  const std::string text = ir::print(package.graph, &blob);
  Json header = {{"format", "narrow"}, {"about", package.about}, {"metadata", metadata_json(package.graph)}};
  if (!packed.empty()) header["packed"] = packed;
  return write_file(path, pack(blob.bytes, text, std::move(header)));
}

namespace {

Result<Package> read_any(const std::filesystem::path& path) {
  NARROW_TRY(const auto file, MappedFile::open(path, true));
  NARROW_TRY(Sections sections, unpack(file->bytes(), path.string()));
  Package package;
  if (const auto list = sections.header.find("packed"); list != sections.header.end() && list->is_array())
    for (const Json& json : *list) {
      NARROW_TRY(PackedConstant packed, packed_from_json(json, sections.blob, file, path.string()));
      package.packed.push_back(std::move(packed));
    }
  const ir::PackedSource source = [&](int64_t number, DType dtype, const Shape& shape) -> Result<Tensor> {
    if (number < 0 || number >= static_cast<int64_t>(package.packed.size()))
      return Error{Code::invalid_model, "packed " + std::to_string(number),
                   "a number below " + std::to_string(package.packed.size()), "another",
                   "the file is damaged; build it again"};
    PackedConstant& packed = package.packed[static_cast<size_t>(number)];
    NARROW_TRY(packed.constant, deferred_constant(packed, dtype, shape, "packed " + std::to_string(number)));
    return packed.constant;
  };
  Result<ir::Graph> graph = ir::parse(sections.graph, sections.blob, file, source);
  if (!graph.ok()) return in_file(std::move(graph).error(), path);
  if (Status status = ir::verify(*graph); !status.ok()) return in_file(std::move(status).error(), path);
  read_metadata(sections.header, *graph);
  package.graph = std::move(graph).value();
  package.about = std::move(sections.header["about"]);
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
