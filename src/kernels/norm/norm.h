// Normalisation over the last axis:
//   x = src + residual;   layer: y = (x - mean(x)) / sqrt(var(x) + eps) * gamma + beta
//                         rms:   y = x / sqrt(mean(x^2) + eps) * gamma + beta
#pragma once

#include <cstdint>

#include "base/cpu.h"
#include "kernels/tensor_quant.h"
#include "parallel/thread_pool.h"

namespace narrow::kernels {

struct NormSpec {
  bool rms = false;
  int64_t rows = 1, columns = 1;
  float epsilon = 1e-5F;
  Format src, dst;
  DType residual = DType::undefined;  // undefined: none; else f32 bf16 f16
  DType sum = DType::undefined;       // undefined: x is not written out; else f32 bf16 f16
};

struct NormBuffers {
  const void* src = nullptr;       // [rows, columns]
  const void* residual = nullptr;  // [rows, columns]
  const float* gamma = nullptr;    // [columns], null: 1
  const float* beta = nullptr;     // [columns], null: 0
  void* dst = nullptr;             // [rows, columns]; may be the memory of src or residual, equally wide
  void* sum = nullptr;             // [rows, columns]; likewise, but not dst's
  void* scratch = nullptr;         // norm_scratch_bytes, 64-byte aligned
};

/// `threads`: of the pool that will run it.
int64_t norm_scratch_bytes(const NormSpec& spec, int threads);

/// Sums run in double. Variance is the mean of squared distances from the mean.
void norm_reference(const NormSpec& spec, const NormBuffers& buffers);
/// Sums run in FP32 in an order that depends on the ISA only.
void norm(const NormSpec& spec, const NormBuffers& buffers, Isa isa, ThreadPool& pool);

}  // namespace narrow::kernels
