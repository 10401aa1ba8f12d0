#include "onnx/load.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>

#include <algorithm>
#include <limits>
#include <system_error>

#include "onnx/names.h"

namespace narrow::onnx {
namespace fs = std::filesystem;

namespace {

constexpr int kRecursionLimit = 100;  // messages inside messages; real models stay below 20

Error leaves_folder(const std::string& location) {
  return Error{.code = Code::invalid_model,
               .subject = "external data '" + location + "'",
               .expected = "a file inside the model's folder",
               .got = "a path that leads out of it",
               .hint = "move the data beside the model and save it with a relative location"};
}

}  // namespace

Result<std::unique_ptr<pb::ModelProto>> parse_model(std::span<const std::byte> bytes) {
  constexpr auto kLimit = std::numeric_limits<int>::max();
  if (bytes.size() > static_cast<size_t>(kLimit))
    return Error{.code = Code::invalid_model,
                 .subject = "model",
                 .expected = "at most 2 GB of protobuf",
                 .got = fmt::format("{} bytes", bytes.size()),
                 .hint = "save the model with external data"};
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const uint8_t*>(bytes.data()),
                                                static_cast<int>(bytes.size()));
  stream.SetTotalBytesLimit(kLimit);
  stream.SetRecursionLimit(kRecursionLimit);
  auto model = std::make_unique<pb::ModelProto>();
  if (bytes.empty() || !model->ParseFromCodedStream(&stream) || !stream.ConsumedEntireMessage())
    return Error{.code = Code::invalid_model,
                 .subject = "model",
                 .expected = "an ONNX model (protobuf)",
                 .got = fmt::format("{} bytes that cannot be decoded", bytes.size()),
                 .hint = "the file may be cut short, a Git LFS pointer, or of another format"};
  make_names_utf8(*model);
  return model;
}

Result<std::shared_ptr<const MappedFile>> ExternalFiles::open(const std::string& location) {
  if (const auto known = files_.find(location); known != files_.end()) return known->second;
  const fs::path relative(location);
  const bool climbs =
      std::any_of(relative.begin(), relative.end(), [](const fs::path& p) { return p == ".."; });
  if (location.empty() || location.find('\0') != std::string::npos || relative.is_absolute() || climbs)
    return leaves_folder(location);
  std::error_code error;
  const fs::path root = fs::weakly_canonical(folder_.empty() ? fs::path(".") : folder_, error);
  if (error)
    return Error{
        .code = Code::io, .subject = folder_.string(), .expected = "a folder", .got = error.message()};
  const fs::path full = fs::weakly_canonical(root / relative, error);
  if (error)
    return Error{
        .code = Code::io, .subject = location, .expected = "a file beside the model", .got = error.message()};
  if (std::mismatch(root.begin(), root.end(), full.begin(), full.end()).first != root.end())
    return leaves_folder(location);
  NARROW_TRY(auto file, MappedFile::open(full));
  files_.emplace(location, file);
  return file;
}

}  // namespace narrow::onnx
