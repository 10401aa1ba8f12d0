#include "artifact/artifact.h"

#include <array>
#include <cstring>
#include <fstream>

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

Status write(const std::filesystem::path& path, const Package& package) {
  ir::Blob blob;
  const std::string text = ir::print(package.graph, &blob);
  Json header = {{"format", "narrow"}, {"about", package.about}, {"metadata", metadata_json(package.graph)}};
  return write_file(path, pack(blob.bytes, text, std::move(header)));
}

namespace {

Result<Package> read_any(const std::filesystem::path& path) {
  NARROW_TRY(const auto file, MappedFile::open(path));
  NARROW_TRY(Sections sections, unpack(file->bytes(), path.string()));
  Result<ir::Graph> graph = ir::parse(sections.graph, sections.blob, file);
  if (!graph.ok()) return in_file(std::move(graph).error(), path);
  if (Status status = ir::verify(*graph); !status.ok()) return in_file(std::move(status).error(), path);
  read_metadata(sections.header, *graph);
  return Package{std::move(graph).value(), std::move(sections.header["about"])};
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
