// Memory aligned to a cache line, for tensors, packed weights and arenas.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace narrow {

constexpr int64_t kCacheLine = 64;

constexpr int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}
constexpr int64_t div_up(int64_t value, int64_t divisor) { return (value + divisor - 1) / divisor; }

/// Room for `bytes` that one task writes beside another's: the prefetcher of one core runs up to some twenty
/// lines ahead and must not fetch what another core writes.
constexpr int64_t apart(int64_t bytes) { return round_up(bytes, kCacheLine) + 2048; }

/// A block, 64-byte aligned, readable for 64 bytes past its end (vector loads of tails stay inside).
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  /// Uninitialised; `bytes` may be 0.
  explicit AlignedBuffer(int64_t bytes);
  static AlignedBuffer zeroed(int64_t bytes);
  /// Foreign memory that is as aligned and as readable (a mapped file), kept alive by `owner`; never written.
  static AlignedBuffer borrow(const std::byte* data, int64_t bytes, std::shared_ptr<const void> owner);
  /// The same borrowed memory again; only of what was borrowed.
  AlignedBuffer share() const;

  std::byte* data() { return memory_.get(); }
  const std::byte* data() const { return memory_.get(); }
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(memory_.get());
  }
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(memory_.get());
  }
  int64_t bytes() const { return bytes_; }

 private:
  struct Release {
    std::shared_ptr<const void> owner;  // null: the block is its own
    void operator()(std::byte* p) const;
  };
  std::unique_ptr<std::byte[], Release> memory_;
  int64_t bytes_ = 0;
};

}  // namespace narrow
