// The bytes of a .narrow file around what they hold: fixed part, sections, checksum.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace narrow::artifact {

constexpr std::array<char, 8> kMagic = {'N', 'A', 'R', 'R', 'O', 'W', '\0', '\7'};
constexpr size_t kVersionAt = 7;  // within the magic
constexpr int64_t kFixedBytes = 32;
constexpr int64_t kBlobAt = 4096;  // a page: a mapped blob's 64-byte offsets are 64-byte addresses

struct Sections {
  std::span<const std::byte> blob;
  std::string_view graph, engine;  // engine: empty when there is none
  Json header;
};

/// Of everything behind the fixed part: XXH3-64 of the XXH3-64s (little-endian) of its stretches of 1 MiB,
/// which are computed in parallel.
uint64_t checksum(std::span<const std::byte> bytes);
/// Adds "blob", "graph" and, unless it is empty, "engine" (offset and size) to the header.
std::string pack(std::string_view blob, std::string_view graph, Json header, std::string_view engine = {});
/// Of the header, the last section of a file that unpack() took.
size_t header_bytes(std::span<const std::byte> bytes);
/// Checks magic, version and bounds; the checksum is check_sum()'s, which may run meanwhile on what unpack()
/// took. Errors of both: invalid_model, naming what is wrong.
Status check_sum(std::span<const std::byte> bytes, const std::string& subject);
Result<Sections> unpack(std::span<const std::byte> bytes, const std::string& subject);

}  // namespace narrow::artifact
