// What the fuzz targets share.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/printable.h"
#include "base/result.h"

namespace narrow::fuzz {

inline std::string_view text_of(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// A message is there, one line of UTF-8 without control characters.
template <class T>
void check_error(const Result<T>& result) {
  if (result.ok()) return;
  const std::string message = result.error().message();
  NARROW_CHECK(!message.empty() && message == printable(message));
}

/// The input as a file, for parsers that take paths. In memory (/dev/shm), one per process.
inline const std::filesystem::path& file_of(std::string_view content, const char* extension) {
  static const std::filesystem::path path = "/dev/shm/narrow-fuzz-" + std::to_string(::getpid()) + extension;
  static const bool removed_at_exit = std::atexit([] {
                                        std::error_code ignored;
                                        std::filesystem::remove(path, ignored);
                                      }) == 0;
  NARROW_CHECK(removed_at_exit);
  std::ofstream(path, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
  return path;
}

}  // namespace narrow::fuzz
