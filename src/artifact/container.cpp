#include "artifact/container.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "base/aligned.h"
#include "base/hash.h"
#include "base/json_text.h"
#include "parallel/thread_pool.h"

namespace narrow::artifact {
namespace {

constexpr int64_t kHeaderOffsetAt = 8, kHeaderSizeAt = 16, kChecksumAt = 24;

void put_u64(std::string& bytes, int64_t at, uint64_t value) {
  for (size_t i = 0; i < 8; ++i) bytes[static_cast<size_t>(at) + i] = static_cast<char>(value >> (8 * i));
}

uint64_t get_u64(std::span<const std::byte> bytes, int64_t at) {
  uint64_t value = 0;
  for (size_t i = 0; i < 8; ++i)
    value |= std::to_integer<uint64_t>(bytes[static_cast<size_t>(at) + i]) << (8 * i);
  return value;
}

Error damaged(const std::string& subject, std::string expected, std::string got) {
  return Error{Code::invalid_model, subject, std::move(expected), std::move(got),
               "the file is damaged; build it again"};
}

/// A section as the header names it, within [kBlobAt, end).
Result<std::span<const std::byte>> section(const Json& header, const char* name,
                                           std::span<const std::byte> bytes, uint64_t end,
                                           const std::string& subject) {
  const auto entry = header.find(name);
  const auto number = [&](const char* key) {
    const bool there = entry != header.end() && entry->is_object() && entry->contains(key);
    return there && (*entry)[key].is_number_unsigned() ? (*entry)[key].get<uint64_t>()
                                                       : std::numeric_limits<uint64_t>::max();
  };
  const uint64_t offset = number("offset"), size = number("size");
  if (offset < static_cast<uint64_t>(kBlobAt) || offset > end || size > end - offset)
    return damaged(subject, fmt::format("a section '{}' inside the file", name),
                   "none, or one that ends outside");
  return bytes.subspan(offset, size);
}

Status check_magic(std::span<const std::byte> bytes, const std::string& subject) {
  if (bytes.size() < kMagic.size() || std::memcmp(bytes.data(), kMagic.data(), kVersionAt) != 0)
    return Error{Code::invalid_model, subject, "a .narrow file", "one that does not begin with its magic",
                 ""};
  const auto version = std::to_integer<int>(bytes[kVersionAt]);
  if (version != kMagic[kVersionAt])
    return Error{Code::invalid_model, subject,
                 fmt::format("format version {}", static_cast<int>(kMagic[kVersionAt])),
                 fmt::format("version {}", version), "build it again with this version of narrow"};
  return {};
}

}  // namespace

uint64_t checksum(std::span<const std::byte> bytes) {
  constexpr size_t kChunk = size_t{1} << 20;
  const auto rest = bytes.subspan(static_cast<size_t>(kFixedBytes));
  const auto chunks = static_cast<int64_t>((rest.size() + kChunk - 1) / kChunk);
  std::vector<std::array<std::byte, 8>> sums(static_cast<size_t>(chunks));
  ThreadPool pool(chunks < 4 ? 1 : 0);
  pool.run(chunks, [&](int64_t i) {
    const auto at = static_cast<size_t>(i) * kChunk;
    const uint64_t sum = xxh3_64(rest.subspan(at, std::min(kChunk, rest.size() - at)));
    for (size_t k = 0; k < 8; ++k) sums[static_cast<size_t>(i)][k] = static_cast<std::byte>(sum >> (8 * k));
  });
  return xxh3_64(std::as_bytes(std::span(sums)));
}

std::string pack(std::string_view blob, std::string_view graph, Json header, std::string_view engine) {
  const auto blob_at = static_cast<uint64_t>(kBlobAt);
  header["blob"] = Json{{"offset", blob_at}, {"size", blob.size()}};
  header["graph"] = Json{{"offset", blob_at + blob.size()}, {"size", graph.size()}};
  if (!engine.empty())
    header["engine"].update({{"offset", blob_at + blob.size() + graph.size()}, {"size", engine.size()}});
  const std::string json = json_text(header);
  std::string bytes;
  bytes.reserve(blob_at + blob.size() + graph.size() + engine.size() + json.size());
  bytes.append(kMagic.data(), kMagic.size());
  bytes.resize(blob_at, '\0');
  bytes.append(blob).append(graph).append(engine);
  put_u64(bytes, kHeaderOffsetAt, bytes.size());
  put_u64(bytes, kHeaderSizeAt, json.size());
  bytes.append(json);
  put_u64(bytes, kChecksumAt, checksum(std::as_bytes(std::span(bytes))));
  return bytes;
}

Status check_sum(std::span<const std::byte> bytes, const std::string& subject) {
  const uint64_t found = checksum(bytes), wanted = get_u64(bytes, kChecksumAt);
  if (found == wanted) return {};
  return damaged(subject, fmt::format("checksum {:016x}", wanted), fmt::format("{:016x}", found));
}

size_t header_bytes(std::span<const std::byte> bytes) { return get_u64(bytes, kHeaderSizeAt); }

Result<Sections> unpack(std::span<const std::byte> bytes, const std::string& subject) {
  NARROW_DO(check_magic(bytes, subject));
  if (bytes.size() < static_cast<size_t>(kBlobAt))
    return damaged(subject, fmt::format("at least {} bytes", kBlobAt), std::to_string(bytes.size()));
  const uint64_t offset = get_u64(bytes, kHeaderOffsetAt), size = get_u64(bytes, kHeaderSizeAt);
  if (offset < static_cast<uint64_t>(kBlobAt) || offset > bytes.size() || size != bytes.size() - offset)
    return damaged(subject, "a header that ends with the file", fmt::format("{} bytes at {}", size, offset));
  Sections sections;
  const auto json = bytes.subspan(offset, size);
  const std::string_view text(reinterpret_cast<const char*>(json.data()), json.size());
  Result<Json> header = parse_json(text, subject);
  if (!header.ok() || !header->is_object())
    return damaged(subject, "a JSON object as header", "something else");
  sections.header = std::move(header).value();
  NARROW_TRY(sections.blob, section(sections.header, "blob", bytes, offset, subject));
  if (const auto at = sections.blob.data() - bytes.data(); at % kCacheLine != 0)
    return damaged(subject, fmt::format("a blob at a multiple of {}", kCacheLine), std::to_string(at));
  NARROW_TRY(const auto graph, section(sections.header, "graph", bytes, offset, subject));
  sections.graph = {reinterpret_cast<const char*>(graph.data()), graph.size()};
  if (!sections.header.contains("engine")) return sections;
  NARROW_TRY(const auto engine, section(sections.header, "engine", bytes, offset, subject));
  sections.engine = {reinterpret_cast<const char*>(engine.data()), engine.size()};
  return sections;
}

}  // namespace narrow::artifact
