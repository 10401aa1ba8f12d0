// Products of two computed matrices:  c[m,n] = alpha * sum_k a[m,k] * b[k,n]   for every batch index
//
// A product with constant weights is a 1x1 convolution (kernels/conv), which packs them once.
#pragma once

#include <cstdint>

#include "base/cpu.h"
#include "parallel/thread_pool.h"
#include "tensor/dtype.h"

namespace narrow::kernels {

constexpr int kMaxBatchRank = 6;

/// Types f32 bf16 f16 in any mix. Strides in elements; a transposed operand is one with its strides swapped.
/// c's columns are contiguous. Batch strides of 0 broadcast.
struct MatMulSpec {
  DType a = DType::f32, b = DType::f32, c = DType::f32;
  int64_t m = 1, n = 1, k = 1;
  int64_t a_stride_m = 1, a_stride_k = 1;
  int64_t b_stride_k = 1, b_stride_n = 1;
  int64_t c_stride_m = 1;
  float alpha = 1;
  int batch_rank = 0;
  int64_t batch[kMaxBatchRank] = {};
  int64_t a_batch_strides[kMaxBatchRank] = {}, b_batch_strides[kMaxBatchRank] = {},
          c_batch_strides[kMaxBatchRank] = {};

  int64_t batches() const;
  int64_t macs() const { return batches() * m * n * k; }
};

/// Sums in double, rounded once.
void matmul_reference(const MatMulSpec& spec, const void* a, const void* b, void* c);

/// Sums in FP32 over k in order; bf16 x bf16 takes AMX tiles where isa allows (pairs of k are summed at
/// once). scratch: matmul_scratch_bytes, 64-byte aligned. `threads`: of the pool that will run it.
int64_t matmul_scratch_bytes(const MatMulSpec& spec, Isa isa, int threads);
void matmul(const MatMulSpec& spec, const void* a, const void* b, void* c, void* scratch, Isa isa,
            ThreadPool& pool);

}  // namespace narrow::kernels
