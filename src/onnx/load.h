// Bytes of a model file -> protobuf, and the files beside it that hold external data.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "base/file.h"
#include "base/result.h"
#include "onnx/proto.h"

namespace narrow::onnx {

/// Errors: invalid_model when the bytes are no ONNX model, are cut short, or exceed protobuf's 2 GB.
Result<std::unique_ptr<pb::ModelProto>> parse_model(std::span<const std::byte> bytes);

/// Files inside the model's folder, mapped once each.
class ExternalFiles {
 public:
  explicit ExternalFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// `location` is relative to the folder and may not leave it: no absolute path, no "..", no link that leads
  /// out. Errors: invalid_model (leaves the folder), not_found, io.
  Result<std::shared_ptr<const MappedFile>> open(const std::string& location);
  /// Every file opened so far, by location.
  const std::map<std::string, std::shared_ptr<const MappedFile>>& opened() const { return files_; }

 private:
  std::filesystem::path folder_;
  std::map<std::string, std::shared_ptr<const MappedFile>> files_;
};

}  // namespace narrow::onnx
