// Depthwise convolution of u8 and s8: plain data between front (dw_int8_conv.cpp) and ISA files.
//
// A group is the number of kernel rows whose products one instruction sums into a 32-bit lane: 4 bytes (VNNI)
// or 2 words (AVX2). For one output row, the source rows of each group are interleaved, channel by channel,
// into a buffer
//   [column][group][chunk] of 32-bit lanes
// and an output is then a one-dimensional convolution along the columns of that buffer.
#pragma once

#include <cstdint>

#include "kernels/activation.h"
#include "kernels/byte_function.h"
#include "kernels/conv/dw_window.h"
#include "kernels/tensor_quant.h"
#include "tensor/dtype.h"

namespace narrow::kernels {

struct ConvBuffers;
struct ConvSpec;
struct ConvWeights;
struct DwStrip;

/// Channels per chunk and kernel rows per group of an instruction set.
constexpr int64_t kDwInt8ChunkVnni = 64, kDwInt8RowsVnni = 4;
constexpr int64_t kDwInt8ChunkAvx2 = 16, kDwInt8RowsAvx2 = 2;

/// How sums become what is stored.
struct DwInt8Finish {
  DType dst_type = DType::u8, residual_type = DType::undefined;
  TensorQuant dst_quant, residual_quant;
  int32_t low = 0, high = 0;
  bool clamps =
      false;  // integer dst, no residual, clamp-like activation or a function: one multiplier a channel
  Activation activation;
  const ByteFunction* function = nullptr;  // low, high and dst_quant are those of its positions
};

/// The one of a spec.
DwInt8Finish dw_int8_finish(const ConvSpec& spec);

/// Whether packing alone clamps: u8 with bounds 0 and 255, zero point 0, one multiplier per channel, and no
/// sum times its multiplier reaches 2^31 (lean_lanes() of dw_int8_finish_avx512.h).
bool dw_int8_is_lean(const ConvSpec& spec, const ConvWeights& weights);

struct DwInt8Plan : DwWindow, DwInt8Finish {
  int64_t groups = 0;
  DType src_type = DType::u8;
  int32_t src_zero = 0;
  // Per chunk, lanes in the order in which the interleaving leaves them; `scale` in the order of memory.
  const void* weights = nullptr;      // [chunk][kw][group][lane] of 4 s8 or 2 s16
  const int32_t* bias = nullptr;      // [chunk][lane], for VNNI less zero point * sum of weights
  const float* multiplier = nullptr;  // [chunk][lane] x_scale * w_scale / out_scale
  const float* scale = nullptr;       // [chunk][channel] x_scale * w_scale
};

/// One chunk's strip of dst.
struct DwInt8Task {
  const uint8_t* src = nullptr;
  const void* residual = nullptr;
  void* dst = nullptr;
  int64_t image = 0, channel = 0, column_begin = 0, column_end = 0, row_begin = 0, row_end = 0;
  void* buffer = nullptr;  // [columns][groups][chunk] lanes
};

DwInt8Task dw_int8_task(const ConvBuffers& buffers, const DwStrip& strip, void* buffer = nullptr);

void dw_int8_avx512vnni(const DwInt8Plan& plan, const DwInt8Task& task);
void dw_int8_avx2(const DwInt8Plan& plan, const DwInt8Task& task);

}  // namespace narrow::kernels
