// QuantizeLinear and the transposition to channels last in one pass over memory.
#pragma once

#include <cstdint>

#include "base/cpu.h"
#include "parallel/thread_pool.h"
#include "tensor/dtype.h"

namespace narrow::kernels {

/// src [images, channels, pixels] -> dst [images, pixels, channels], per tensor.
struct QuantizeImageSpec {
  DType src = DType::f32, dst = DType::u8;  // f32 bf16 f16 -> u8 s8
  int64_t images = 1, channels = 1, pixels = 1;
  float scale = 1;
  int32_t zero_point = 0;
};

/// The codes of quantize_linear(). Equal on all ISAs and for every number of threads.
void quantize_image(const QuantizeImageSpec& spec, const void* src, void* dst, Isa isa, ThreadPool& pool);

}  // namespace narrow::kernels
