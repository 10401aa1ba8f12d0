// What the int8 kernels of every instruction set are handed: plain structs, no functions.
#pragma once

#include <cstdint>

#include "kernels/activation.h"
#include "kernels/byte_function.h"
#include "kernels/conv/walk.h"
#include "tensor/dtype.h"

namespace narrow::kernels {

/// How sums leave (kernels/requantize.h):  store(activation(sum * scale + residual) * inverse_out_scale).
/// Where all scales are one factor, that factor is `scale`, and inverse_out_scale is 1.
struct S8Finish {
  DType dst_type, residual_type;  // residual undefined: none
  Activation activation;          // none where the bounds of an integer, or a function, say it all
  const ByteFunction* function;   // null: none. out_zero, low and high are those of its positions
  /// Integer dst, no activation but bounds or a function, integer residual or none, and no
  /// r * inverse_out_scale beyond int32.
  bool stays_in_bytes;
  const float* scale;   // per padded column
  const int32_t* bias;  // per padded column
  /// Sums may begin with the bits of 1.5 * 2^23 and are floats then (kernels/requantize.h).
  bool on_float;
  const int32_t* start;  // per padded column: what sums begin with, the bias included
  const float* back;     // per padded column: takes that float times the scale off again
  float inverse_out_scale;
  int32_t out_zero, low, high;
  float residual_scale;
  int32_t residual_zero;
  const void* residual;
  void* dst;
};

struct S8Args : ConvWalk {
  bool is_signed;
  S8Finish finish;
  const uint8_t* largest = nullptr;  // of s8_bytes_task_avx2: s8_largest_avx2() of each group
};

using S8Sums = ConvSums<int32_t>;
using S8Pending = ConvPending<int32_t>;

void s8_finish_plain(const S8Finish& finish, const ConvRows& rows, const S8Sums& sums);

void s8_task_plain(const S8Args& args, const ConvRange& range);
void s8_task_avx2(const S8Args& args, const ConvRange& range);
/// Bytes to 16 bits each, as that task reads them.
void s8_widen_avx2(bool is_signed, const uint8_t* from, int64_t count, int16_t* to);
/// u8 of up to kS8MostBytesDepth bytes a sum.
constexpr int64_t kS8MostBytesDepth = 4608;
/// Of each of `depth` bytes of a row the largest magnitude of the weights it meets in all panels, 127 for
/// -128; to uint8 [depth].
void s8_largest_avx2(const int8_t* weights, int64_t panels, int64_t depth, uint8_t* largest);
void s8_bytes_task_avx2(const S8Args& args, const ConvRange& range);
void s8_task_avx2vnni(const S8Args& args, const ConvRange& range);
void s8_task_avx512vnni(const S8Args& args, const ConvRange& range);
void s8_task_amx(const S8Args& args, const ConvRange& range);
/// For few steps over positions that all are pixels, sums on floats.
void s8_shallow_task_amx(const S8Args& args, const ConvRange& range);

}  // namespace narrow::kernels
