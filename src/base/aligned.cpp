#include "base/aligned.h"

#include <cstdlib>
#include <cstring>
#include <new>

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
  memory_.reset(memory);
}

AlignedBuffer AlignedBuffer::zeroed(int64_t bytes) {
  AlignedBuffer buffer(bytes);
  std::memset(buffer.data(), 0, static_cast<size_t>(bytes));
  return buffer;
}

void AlignedBuffer::Free::operator()(std::byte* p) const { std::free(p); }

}  // namespace narrow
