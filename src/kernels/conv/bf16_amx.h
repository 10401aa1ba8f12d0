// Plain data between the bf16 AMX convolution's front (bf16_amx_conv.cpp) and its ISA files (*_amx.cpp).
//
// The convolution is an implicit product C[M,N] = A[M,K] x B[K,N] on 32x32 blocks of C (four tiles).
// Rows of A are output positions q = y * flat_width + x of one image. Row q of tap t starts at
//   image + taps[t] + q * row_stride
// in a zero-padded copy of the source (or in the source itself for pointwise shapes), so one strided tile
// load fetches 16 positions even across row ends; positions with x >= ow are computed and dropped.
#pragma once

#include <cstdint>

#include "kernels/activation.h"
#include "kernels/tensor_quant.h"
#include "tensor/dtype.h"

namespace narrow::kernels {

/// What happens to a block of sums: dst = act(sum + bias + residual), [pixels, oc].
struct Bf16AmxOutput {
  const float* bias = nullptr;  // [oc rounded up to 32]
  const void* residual = nullptr;
  void* dst = nullptr;
  DType dst_type = DType::bf16, residual_type = DType::undefined;
  TensorQuant dst_quant, residual_quant;
  int32_t low = 0, high = 0;  // bounds of an integer dst
  Activation activation;
  int64_t oc = 0;
};

/// One task: blocks [block_begin, block_end) of 32 positions times panels [panel_begin, panel_end) of 32
/// channels.
struct Bf16AmxTask {
  const uint16_t* a = nullptr;
  int64_t image_stride = 0;  // elements between images
  int64_t row_stride = 0;    // elements between positions
  const int64_t* taps = nullptr;
  int64_t tap_count = 0, steps_per_tap = 0;
  int64_t k_block = 0;          // elements of K per step, even, <= 32
  const uint16_t* b = nullptr;  // [panel][tap][step][2 tiles][k_block/2][16 columns][2]
  int64_t positions = 0;        // per image
  int64_t flat_width = 0, oh = 0, ow = 0;
  int64_t block_begin = 0, block_end = 0, panel_begin = 0, panel_end = 0;
  int64_t group = 1;                     // blocks that meet a panel before the next one is read
  const uint8_t* full_config = nullptr;  // 64-byte tile configurations for 32 positions
  const uint8_t* tail_config = nullptr;  // and for the last block of an image
  Bf16AmxOutput out;
};

/// Columns of one stored row: `left` zero pixels, `count` source pixels, zeros up to `total`.
struct Bf16AmxRow {
  const void* src = nullptr;  // first source pixel; null: a row of zeros
  bool src_is_f32 = false;    // else bf16
  int64_t c = 0, stored_c = 0;
  int64_t pixel_step = 1;  // source pixels between stored ones
  int64_t left = 0, count = 0, total = 0;
};

void bf16_amx_compute(const Bf16AmxTask& task);
/// Writes row.total * row.stored_c elements. FP32 rounds to nearest even; FP32 subnormals become zero, as
/// they do inside the tile multiplier.
void bf16_amx_copy_row(const Bf16AmxRow& row, uint16_t* dst);

}  // namespace narrow::kernels
