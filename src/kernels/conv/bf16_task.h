// Plain data between the front of convolutions in bf16 (bf16_conv.cpp) and its ISA files (*_amx.cpp,
// *_avx512bf16.cpp).
//
// f16 numbers are split: high, the nearest bf16, and low, what is left of the 11 bits, so that x = high + low
// exactly. Of the four products of two such numbers low * low, at most 2^-16 of the whole, is left out: three
// bf16 products are more exact than the f16 that goes in and out, and four times as fast as FP32 vectors.
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
  const uint8_t* config;  // of AMX: 64 bytes, for steps of step_bytes
  bool split = false;     // f16 in two planes
  Bf16Finish finish;
};

/// Columns of one stored row: `left` zero pixels, `count` source pixels, zeros up to `total`.
struct Bf16Row {
  const void* src = nullptr;  // first source pixel; null: a row of zeros
  DType type = DType::bf16;   // of the source: bf16, f32, f16
  int64_t plane = 0;          // f16: elements from where high parts are written to the low ones
  int64_t groups = 1;         // of a pixel, `c` channels each, which take `stored_c`
  int64_t c = 0, stored_c = 0;
  int64_t src_pixel = 0;  // elements of src from pixel to pixel
  int64_t left = 0, count = 0, total = 0;
};

void bf16_task_amx(const Bf16Args& args, const ConvRange& range);
void bf16_task_avx512bf16(const Bf16Args& args, const ConvRange& range);  // not split
/// Writes row.total * row.groups * row.stored_c elements, of f16 twice. FP32 rounds to nearest even; FP32
/// subnormals become zero, as they do in the products.
void bf16_copy_row(const Bf16Row& row, uint16_t* dst);

}  // namespace narrow::kernels
