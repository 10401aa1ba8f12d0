// Files: mapped in, written whole or not at all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace narrow {

/// A file mapped read-only; the mapping lives as long as any copy of the pointer open() gave.
class MappedFile {
 public:
  /// Errors: not_found, io (a directory, no permission). An empty file maps to an empty span.
  static Result<std::shared_ptr<const MappedFile>> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  MappedFile() = default;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// Writes beside `path` and renames over it: a reader sees the old file or the new one. Errors: io (full
/// disk, …).
Status write_file(const std::filesystem::path& path, std::string_view content);

/// A folder that appears at `target` complete or not at all: files are written into a hidden sibling and
/// commit() swaps it in. An existing `target` is replaced as a whole.
class StagedFolder {
 public:
  /// Errors: io (the parent cannot be made or written, target is a file).
  static Result<StagedFolder> create(const std::filesystem::path& target);
  StagedFolder(StagedFolder&& other) noexcept;
  StagedFolder& operator=(StagedFolder&&) = delete;
  ~StagedFolder();  // removes what was staged when commit() was not reached

  const std::filesystem::path& path() const { return staging_; }
  /// Moves the staged folder to the target; the old target, if any, is removed after the swap.
  Status commit();

 private:
  StagedFolder() = default;
  std::filesystem::path target_, staging_;
};

}  // namespace narrow
