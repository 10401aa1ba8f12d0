// Plain data between the bf16 AMX convolution's front (bf16_amx_conv.cpp) and its ISA files (*_amx.cpp).
#pragma once

#include <cstdint>

#include "kernels/activation.h"
#include "kernels/conv/walk.h"
#include "kernels/tensor_quant.h"
#include "tensor/dtype.h"

namespace narrow::kernels {

/// What happens to sums: dst = act(sum + bias + residual), [pixels, oc].
struct Bf16Finish {
  const float* bias = nullptr;  // [oc rounded up to 32]
  const void* residual = nullptr;
  void* dst = nullptr;
  DType dst_type = DType::bf16, residual_type = DType::undefined;
  TensorQuant dst_quant, residual_quant;
  int32_t low = 0, high = 0;  // bounds of an integer dst
  Activation activation;
};

struct Bf16Args : ConvWalk {
  const uint8_t* config;  // 64 bytes, for steps of step_bytes
  Bf16Finish finish;
};

/// Columns of one stored row: `left` zero pixels, `count` source pixels, zeros up to `total`.
struct Bf16AmxRow {
  const void* src = nullptr;  // first source pixel; null: a row of zeros
  bool src_is_f32 = false;    // else bf16
  int64_t c = 0, stored_c = 0;
  int64_t left = 0, count = 0, total = 0;
};

void bf16_amx_task(const Bf16Args& args, const ConvRange& range);
/// Writes row.total * row.stored_c elements. FP32 rounds to nearest even; FP32 subnormals become zero, as
/// they do inside the tile multiplier.
void bf16_amx_copy_row(const Bf16AmxRow& row, uint16_t* dst);

}  // namespace narrow::kernels
