#include "runtime/pack_cache.h"

#include <cstring>
#include <numeric>

namespace narrow::runtime {
namespace {

constexpr int64_t kWorthKeeping = 4096;  // bytes; smaller weights are packed in no time

/// A description of what an entry packed, its parts those of `packed`; none where the kernel keeps nothing.
std::vector<AlignedBuffer> parts_of(const std::shared_ptr<const kernels::PackedWeights>& packed) {
  std::vector<AlignedBuffer> parts;
  for (const std::span<const std::byte> part : packed->stored())
    parts.push_back(AlignedBuffer::borrow(part.data(), static_cast<int64_t>(part.size()), packed));
  return parts;
}

/// Whether padding to whole tiles (and zeros between merged groups) costs little: files are to be small
/// first.
bool is_compact(const std::vector<int64_t>& parts, int64_t bytes) {
  return std::accumulate(parts.begin(), parts.end(), int64_t{0}) <= bytes + bytes / 8;
}

/// Whether one reads what the other packed: they keep the same parts.
bool packs_as(const kernels::ConvCandidate& candidate, const std::string& other) {
  if (candidate.name == other) return true;
  const kernels::ConvCandidate* packer = kernels::find_conv_candidate(other);
  return packer != nullptr && packer->storage.unpack != nullptr &&
         packer->storage.unpack == candidate.storage.unpack &&
         packer->storage.sizes == candidate.storage.sizes;
}

}  // namespace

const artifact::PackedConstant* PackCache::stored(const PackRequest& request) const {
  for (const artifact::PackedConstant& packed : stored_)
    if (packed.constant.identity() == request.weights.identity() &&
        packs_as(request.candidate, packed.kernel) && artifact::packs_alike(packed.spec, request.spec))
      return &packed;
  return nullptr;
}

PackCache::Entry& PackCache::entry_of(const PackRequest& request) {
  const std::scoped_lock lock(mutex_);
  return entries_[{request.node, &request.candidate, request.weights.identity()}];
}

std::shared_ptr<const kernels::PackedWeights> PackCache::get(const PackRequest& request) {
  Entry& entry = entry_of(request);
  if (entry.packed) return entry.packed;
  entry.weights = request.weights;
  entry.spec = request.spec;
  if (const artifact::PackedConstant* known = stored(request)) {
    entry.transposed = known->transposed;
    entry.packed = request.candidate.pack(request.spec, {.bias = request.bias, .stored = known->parts});
  } else {
    const Tensor ordered = request.ordered();
    entry.transposed = ordered.identity() != request.weights.identity();
    entry.packed = request.candidate.pack(request.spec, {.weights = ordered.raw(), .bias = request.bias});
  }
  return entry.packed;
}

void PackCache::add(artifact::PackedConstant packed) {
  if (packed.constant.defined()) stored_.push_back(std::move(packed));
}

void PackCache::clear() {
  entries_.clear();
  stored_.clear();
}

std::vector<artifact::PackedConstant> PackCache::storable() const {
  std::vector<artifact::PackedConstant> list;
  for (const auto& [key, entry] : entries_) {
    const kernels::ConvStorage& storage = key.candidate->storage;
    if (storage.sizes == nullptr || entry.weights.bytes() < kWorthKeeping ||
        !storage.refuses(entry.spec).empty())
      continue;
    if (!is_compact(storage.sizes(entry.spec), entry.weights.bytes())) continue;
    artifact::PackedConstant packed{entry.weights, key.candidate->name, entry.spec, entry.transposed,
                                    parts_of(entry.packed)};
    AlignedBuffer back(entry.weights.bytes());
    unpack_constant(packed, back.data());
    if (std::memcmp(back.data(), entry.weights.raw(), static_cast<size_t>(back.bytes())) == 0)
      list.push_back(std::move(packed));
  }
  return list;
}

}  // namespace narrow::runtime
