// Local response normalisation over neighbouring channels, channels last:
//   y[c] = x[c] / (bias + alpha / size * sum of x[j]^2, j in [c - floor((size-1)/2), c +
//   ceil((size-1)/2)])^beta
#pragma once

#include <cstdint>

#include "base/cpu.h"
#include "kernels/tensor_quant.h"
#include "parallel/thread_pool.h"

namespace narrow::kernels {

constexpr int64_t kMostLrnSize = 64;

/// src and dst are [rows, channels]. 1 <= size <= kMostLrnSize.
struct LrnSpec {
  int64_t rows = 1, channels = 1, size = 5;
  float alpha = 1e-4F, beta = 0.75F, bias = 1;
  Format src, dst;
};

void lrn_reference(const LrnSpec& spec, const void* src, void* dst);
/// In FP32; powers 1/2, 3/4 and 1 by square roots and division.
void lrn(const LrnSpec& spec, const void* src, void* dst, Isa isa, ThreadPool& pool);

}  // namespace narrow::kernels
