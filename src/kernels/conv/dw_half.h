// Depthwise convolution of bf16 and f16, summed in FP32: plain data between front and ISA file.
#pragma once

#include <cstdint>

#include "kernels/activation.h"
#include "kernels/conv/dw_window.h"
#include "kernels/tensor_quant.h"
#include "tensor/dtype.h"

namespace narrow::kernels {

/// Channels per chunk: two vectors of 16 floats, one cache line of halves.
constexpr int64_t kDwHalfChunk = 32;

struct DwHalfPlan : DwWindow {
  DType src_type = DType::bf16, dst_type = DType::bf16, residual_type = DType::undefined;
  TensorQuant dst_quant, residual_quant;
  int32_t low = 0, high = 0;
  Activation activation;
  const float* weights = nullptr;  // [chunk][kh][kw][32]
  const float* bias = nullptr;     // [chunk][32]; bf16 source: even channels of a chunk, then odd ones
};

/// Channels [channel_begin, channel_end), from a multiple of 32 on, of a rectangle of dst.
struct DwHalfTask {
  const void* src = nullptr;
  const void* residual = nullptr;
  void* dst = nullptr;
  int64_t image = 0, channel_begin = 0, channel_end = 0;
  int64_t column_begin = 0, column_end = 0, row_begin = 0, row_end = 0;
};

void dw_half_avx512(const DwHalfPlan& plan, const DwHalfTask& task);

}  // namespace narrow::kernels
