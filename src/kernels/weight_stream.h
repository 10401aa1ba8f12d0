// Constant weights in the order a kernel reads them, so that who runs before it can have them fetched.
#pragma once

#include <cstddef>
#include <cstdint>

namespace narrow::kernels {

struct WeightStream {
  const std::byte* begin = nullptr;
  int64_t bytes = 0;   // 0: nothing
  bool dealt = false;  // each thread reads a part of its own, one behind the other; else every thread all

  int64_t bytes_per_thread(int threads) const { return dealt ? bytes / threads : bytes; }
};

}  // namespace narrow::kernels
