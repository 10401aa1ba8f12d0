// Where random cases come from: a seed, or the bytes of a fuzzer, which then steers every choice.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>

#include "base/random.h"

namespace narrow::kernel_cases {

class Dice {
 public:
  explicit Dice(uint64_t seed) : random_(seed) {}
  /// Bytes first, one or two for a choice; a generator seeded by them when they are used up.
  explicit Dice(std::span<const uint8_t> bytes);

  /// Uniform in [0, n), 1 <= n.
  int64_t below(int64_t n);
  int64_t between(int64_t low, int64_t high) { return low + below(high - low + 1); }
  /// True once in n.
  bool once_in(int64_t n) { return below(n) == 0; }
  template <class T>
  T one_of(std::initializer_list<T> list) {
    return list.begin()[below(static_cast<int64_t>(list.size()))];
  }
  /// In [1, most], often next to what vectors and tiles are wide (2^n, 3 * 2^n, one more, one less).
  int64_t extent(int64_t most);

 private:
  std::span<const uint8_t> bytes_;
  Random random_;
};

}  // namespace narrow::kernel_cases
