#include "base/hash.h"

#include <fmt/format.h>

#include "base/cpu.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace narrow {

struct Hasher::State {
  XXH3_state_t* xxh = XXH3_createState();
  ~State() { XXH3_freeState(xxh); }
};

Hasher::Hasher() : state_(std::make_unique<State>()) { XXH3_128bits_reset(state_->xxh); }
Hasher::~Hasher() = default;

Hasher& Hasher::add(std::span<const std::byte> bytes) {
  XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size());
  return *this;
}

Hasher& Hasher::add(std::string_view text) { return add(std::as_bytes(std::span(text))); }

std::string Hasher::hex() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->xxh);
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

uint64_t xxh3_64_avx2(const void* data, size_t bytes);

uint64_t xxh3_64(std::span<const std::byte> bytes) {
  if (cpu_features().best >= Isa::avx2) return xxh3_64_avx2(bytes.data(), bytes.size());
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::string hash_hex(std::span<const std::byte> bytes) { return Hasher().add(bytes).hex(); }
std::string hash_hex(std::string_view text) { return Hasher().add(text).hex(); }

}  // namespace narrow
