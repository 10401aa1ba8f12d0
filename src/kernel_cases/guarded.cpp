#include "kernel_cases/guarded.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "base/aligned.h"

namespace narrow::kernel_cases {
namespace {
constexpr int64_t kPage = 4096;
constexpr uint8_t kFront = 0xa5;
}  // namespace

void Guarded::map(int64_t bytes) {
  size_ = static_cast<size_t>(bytes);
  mapped_ = static_cast<size_t>(round_up(bytes, kPage) + kPage);
  void* at = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<uint8_t*>(at);
  uint8_t* guard = memory_ + mapped_ - kPage;
  mprotect(guard, kPage, PROT_NONE);
  data_ = guard - size_;
  std::fill(memory_, data_, kFront);
}

Guarded::Guarded(int64_t bytes, uint8_t fill) {
  map(bytes);
  if (size_ > 0) std::memset(data_, fill, size_);
}

Guarded::Guarded(std::span<const uint8_t> content) {
  map(static_cast<int64_t>(content.size()));
  std::copy(content.begin(), content.end(), data_);
  mprotect(memory_, mapped_ - kPage, PROT_READ);
}

Guarded::~Guarded() {
  if (memory_ != nullptr) munmap(memory_, mapped_);
}

Guarded::Guarded(Guarded&& other) noexcept
    : size_(other.size_),
      mapped_(other.mapped_),
      memory_(std::exchange(other.memory_, nullptr)),
      data_(other.data_) {}

bool Guarded::front_untouched() const {
  return std::all_of(memory_, data_, [](uint8_t byte) { return byte == kFront; });
}

}  // namespace narrow::kernel_cases
