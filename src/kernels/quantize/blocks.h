// DequantizeLinear of codes of at most 8 bits with any granularity: per tensor, per axis, in blocks.
#pragma once

#include <cstdint>

#include "base/cpu.h"
#include "parallel/thread_pool.h"
#include "tensor/dtype.h"

namespace narrow::kernels {

/// Elements lie as [outer, axis, inner], a byte each. Element (o, a, i) reads its parameters at
/// o * outer_stride + a / block * block_stride + i * inner_stride.
struct BlockSpec {
  DType src = DType::s4;  // any type of one byte but bool
  DType dst = DType::f32;
  int64_t outer = 1, axis = 1, inner = 1, block = 1;
  int64_t outer_stride = 0, block_stride = 0, inner_stride = 0;
  const float* scale = nullptr;
  const float* zero_point = nullptr;  // null: all 0

  int64_t count() const { return outer * axis * inner; }
};

/// -> f32 bf16 f16:  x = (value - zero_point) * scale in FP32, rounded once more when dst is narrower.
void dequantize_blocks(const BlockSpec& spec, const void* src, void* dst, Isa isa, ThreadPool& pool);

}  // namespace narrow::kernels
