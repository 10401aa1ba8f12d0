// Memory that ends where a page begins that may not be touched: reading or writing beyond an operand crashes,
// also in vector instructions that the address sanitizer does not see.
#pragma once

#include <cstdint>
#include <span>

namespace narrow::kernel_cases {

class Guarded {
 public:
  /// `bytes` bytes, all `fill`. Memory that cannot be had throws std::bad_alloc.
  Guarded(int64_t bytes, uint8_t fill);
  /// A copy that may only be read.
  explicit Guarded(std::span<const uint8_t> content);
  ~Guarded();
  Guarded(Guarded&& other) noexcept;
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  Guarded& operator=(Guarded&&) = delete;

  uint8_t* data() { return data_; }
  std::span<const uint8_t> bytes() const { return {data_, size_}; }
  /// False when what lies before data() in its first page is no longer as it was.
  bool front_untouched() const;

 private:
  void map(int64_t bytes);
  size_t size_ = 0, mapped_ = 0;
  uint8_t *memory_ = nullptr, *data_ = nullptr;
};

}  // namespace narrow::kernel_cases
