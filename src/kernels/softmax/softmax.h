// Softmax over the last axis:  e = exp(x - max(x));  y = e / sum(e);  log: y = x - max(x) - log(sum(e))
#pragma once

#include <cstdint>

#include "base/cpu.h"
#include "kernels/tensor_quant.h"
#include "parallel/thread_pool.h"

namespace narrow::kernels {

struct SoftmaxSpec {
  bool log = false;
  int64_t rows = 1, columns = 1;
  Format src, dst;  // any
};

/// `threads`: of the pool that will run it.
int64_t softmax_scratch_bytes(const SoftmaxSpec& spec, int threads);

/// Sums run in double. A row of only -Inf gives NaN, as does a row with NaN or +Inf.
void softmax_reference(const SoftmaxSpec& spec, const void* src, void* dst);
/// e below exp(-87) counts as 0 with AVX2 and above. scratch: softmax_scratch_bytes, 64-byte aligned. dst may
/// be src's memory, equally wide.
void softmax(const SoftmaxSpec& spec, const void* src, void* dst, void* scratch, Isa isa, ThreadPool& pool);

}  // namespace narrow::kernels
