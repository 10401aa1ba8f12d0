#include "kernel_cases/dice.h"

#include <algorithm>

namespace narrow::kernel_cases {
namespace {

/// FNV-1a.
uint64_t hash_of(std::span<const uint8_t> bytes) {
  uint64_t h = 0xcbf29ce484222325ULL;
  for (const uint8_t b : bytes) h = (h ^ b) * 0x100000001b3ULL;
  return h;
}

}  // namespace

Dice::Dice(std::span<const uint8_t> bytes) : bytes_(bytes), random_(hash_of(bytes)) {}

int64_t Dice::below(int64_t n) {
  const auto choices = static_cast<uint64_t>(n);
  const size_t wants = choices <= 256 ? 1 : 2;
  if (bytes_.size() < wants || choices > 65536) return static_cast<int64_t>(random_.next() % choices);
  uint64_t number = 0;
  for (const uint8_t b : bytes_.first(wants)) number = number * 256 + b;
  bytes_ = bytes_.subspan(wants);
  return static_cast<int64_t>(number % choices);
}

int64_t Dice::extent(int64_t most) {
  if (most <= 1) return 1;
  if (once_in(3)) return between(1, most);
  const int64_t width = one_of({int64_t{2}, int64_t{3}}) << between(0, 6);
  return std::clamp<int64_t>(width / 2 + between(-1, 1), 1, most);
}

}  // namespace narrow::kernel_cases
