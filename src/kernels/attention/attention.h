// Fused attention:  dst[b,h,i,:] = softmax_j(scale * q[b,h,i,:] . k[b,g,j,:] + mask[b,h,i,j]) v[b,g,j,:],  g
// = h / (heads / kv_heads)
//
// A block of query rows keeps its scores in cache; the score matrix never reaches memory.
#pragma once

#include <cstdint>

#include "base/cpu.h"
#include "kernels/tensor_quant.h"
#include "parallel/thread_pool.h"

namespace narrow::kernels {

/// Strides in elements of [batch, heads, rows, head_dim]; the last is 1. [B,S,H,D] and [B,H,S,D] both fit.
struct AttentionStrides {
  int64_t batch = 0, head = 0, row = 0;
};

struct AttentionSpec {
  int64_t batch = 1, heads = 1, kv_heads = 1;  // heads is a multiple of kv_heads
  int64_t q_len = 1, kv_len = 1;
  int64_t head_dim = 1, v_dim = 1;  // of q and k; of v and dst
  Format q, k, v, dst;              // f32 bf16 f16 u8 s8
  AttentionStrides q_strides, k_strides, v_strides, dst_strides;
  float scale = 1;
  bool causal = false;
  int64_t causal_offset = 0;  // causal: row i sees keys j <= i + causal_offset
  bool mask = false;          // additive, f32; strides 0 where it broadcasts
  int64_t mask_batch = 0, mask_head = 0, mask_row = 0, mask_column = 0;
};

struct AttentionBuffers {
  const void *q = nullptr, *k = nullptr, *v = nullptr;
  const float* mask = nullptr;
  void* dst = nullptr;      // no overlap with the inputs
  void* scratch = nullptr;  // attention_scratch_bytes, 64-byte aligned
};

/// `threads`: of the pool that will run it.
int64_t attention_scratch_bytes(const AttentionSpec& spec, Isa isa, int threads);

/// In double. A row that sees no key (or only keys with a score of -Inf) gives 0.
void attention_reference(const AttentionSpec& spec, const AttentionBuffers& buffers);

/// Scores and sums in FP32. With AMX, and unless q, k or v is f32 or f16, products take bf16 operands: 8-bit
/// values are dequantized to bf16, and exp(score - max) is rounded to bf16 before it meets v.
void attention(const AttentionSpec& spec, const AttentionBuffers& buffers, Isa isa, ThreadPool& pool);

}  // namespace narrow::kernels
