// The machine's ceilings, measured in a fraction of a second.
#pragma once

#include <cstdint>

#include "bench/work.h"

namespace narrow::pipeline {

struct Peaks {
  double read_gb_s = 0;     // streaming read from memory, all threads
  double cache_gb_s = 0;    // the same of what lies in the L2 caches of these threads
  int64_t cache_bytes = 0;  // how much that is
  /// Multiply-adds on registers, all threads, in 10^9 operations a second (kernels/peak): what no kernel
  /// passes. Of plain C++: what its dense convolution reaches. bf16 is computed in fp32 where
  /// has_bf16_products() is false.
  double fp32_gflops = 0, bf16_gflops = 0, int8_gops = 0;
};

Peaks measure_peaks(int threads);

/// The same as what steps are held against.
bench::Roofs measure_roofs(int threads);

}  // namespace narrow::pipeline
