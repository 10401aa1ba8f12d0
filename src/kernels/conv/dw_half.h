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
  int64_t ring_rows = 0;           // (kh - 1) * dilation_h + 1: source rows kept as floats
  int64_t columns = 0;             // source columns per ring row
};

/// One chunk's strip of dst. Ring row r holds padded source row y with y % ring_rows == r, as [columns][32]
/// floats.
struct DwHalfTask {
  const void* src = nullptr;
  const void* residual = nullptr;
  void* dst = nullptr;
  int64_t image = 0, channel = 0, column_begin = 0, column_end = 0, row_begin = 0, row_end = 0;
  float* ring = nullptr;
  int64_t* ring_tags = nullptr;  // [ring_rows] which padded row lies there
  int64_t* window = nullptr;     // [kh] offsets of the current output row's source rows in the ring
};

void dw_half_avx512(const DwHalfPlan& plan, const DwHalfTask& task);

}  // namespace narrow::kernels
