// JPEG to pixels, and pixels to another size.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/result.h"

namespace narrow::data {

enum class Channels : uint8_t { rgb, bgr, gray };
const char* name_of(Channels channels);  // "RGB"

/// Interleaved bytes, [height, width, channels].
struct Image {
  int64_t height = 0, width = 0, channels = 3;
  std::vector<uint8_t> pixels;
};

/// Errors: not_found, io, invalid_data (not a JPEG, cut short, larger than 2^28 pixels).
Result<Image> read_jpeg(const std::filesystem::path& path, Channels channels);

/// Bilinear; when shrinking, the triangle filter widens by the scale (antialiased), as Pillow's BILINEAR
/// does. Two passes, rounded to bytes after each, as Pillow rounds.
Image resize(const Image& image, int64_t height, int64_t width);

}  // namespace narrow::data
