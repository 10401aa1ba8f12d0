#include "base/aligned.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/memory.h"

namespace narrow {

AlignedBuffer::AlignedBuffer(int64_t bytes) : bytes_(bytes) {
  NARROW_CHECK(bytes >= 0);
  if (bytes > memory_limit_bytes()) throw std::bad_alloc();
  const auto size = static_cast<size_t>(round_up(bytes, kCacheLine) + kCacheLine);
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(kCacheLine, size));
  if (memory == nullptr) throw std::bad_alloc();
  std::memset(memory + bytes, 0, size - static_cast<size_t>(bytes));
  memory_ = {memory, Release{}};
}

AlignedBuffer AlignedBuffer::zeroed(int64_t bytes) {
  AlignedBuffer buffer(bytes);
  std::memset(buffer.data(), 0, static_cast<size_t>(bytes));
  return buffer;
}

AlignedBuffer AlignedBuffer::borrow(const std::byte* data, int64_t bytes, std::shared_ptr<const void> owner) {
  NARROW_CHECK(bytes >= 0 && reinterpret_cast<std::uintptr_t>(data) % kCacheLine == 0 && owner != nullptr);
  AlignedBuffer buffer;
  buffer.memory_ = {const_cast<std::byte*>(data), Release{std::move(owner)}};
  buffer.bytes_ = bytes;
  return buffer;
}

AlignedBuffer AlignedBuffer::share() const { return borrow(data(), bytes_, memory_.get_deleter().owner); }

void AlignedBuffer::Release::operator()(std::byte* p) const {
  if (owner == nullptr) std::free(p);
}

}  // namespace narrow
