// What the int8 kernels of every instruction set are handed: plain structs, no functions.
#pragma once

#include <cstdint>

#include "kernels/activation.h"
#include "tensor/dtype.h"

namespace narrow::kernels {

/// How sums leave (kernels/requantize.h):  store(activation(sum * scale + residual) * inverse_out_scale).
/// Where all scales are one factor, that factor is `scale`, and inverse_out_scale is 1.
struct S8Finish {
  DType dst_type, residual_type;  // residual undefined: none
  Activation activation;          // none where the bounds of an integer say it all
  /// Integer dst, no activation but bounds, integer residual or none, and no r * inverse_out_scale beyond
  /// int32.
  bool stays_in_bytes;
  const float* scale;  // per column
  float inverse_out_scale;
  int32_t out_zero, low, high;
  float residual_scale;
  int32_t residual_zero;
  const void* residual;
  void* dst;
  int64_t dst_pixel;  // elements between pixels
};

/// One prepared product over positions (s8_image.h) with the buffers of one run.
struct S8Args {
  const uint8_t* a;  // position 0
  int64_t a_stride;  // bytes between positions
  const int64_t* offsets;
  int64_t segments, segment_bytes;
  bool is_signed;
  const uint8_t* tail;  // positions from tail_begin on are read from here
  int64_t tail_begin;
  int64_t readable;  // no position from here on may be read: a block starts early and skips what is done
  int64_t positions, pitch, rows, oh, ow;
  int64_t row_begin;  // of position 0, among the rows of all images
  const int8_t* b;    // panels
  int64_t panel_bytes;
  bool b_streams;  // a task's panels are too large for L1 and pass by for every block of positions
  const int32_t* bias;
  int64_t channels, outputs, panels;  // of one group
  S8Finish finish;
};

/// A task: blocks of tile rows x panels of one group.
struct S8Range {
  int64_t group, block_begin, block_end, panel_begin, panel_end;
  bool panels_outside;  // the loop over panels is the outer one
};

/// The pixels of one block that are stored: where the pixel's sums begin, and its first element in dst. One
/// more repeats the last, for kernels that finish two at a time.
struct S8Rows {
  static constexpr int64_t kMax = 32;
  int64_t count;
  int64_t sums[kMax + 1];
  int64_t element[kMax + 1];
};

/// Finishes `columns` sums of each row; column 0 is output channel `channel` of dst, whose scale is
/// finish.scale[at] and whose bias, where the sums do not hold it yet, bias[0].
struct S8Sums {
  const int32_t* c;
  int64_t columns, channel, at;
  const int32_t* bias;
};
/// Sums computed and not yet finished.
struct S8Pending {
  const S8Rows* rows;
  S8Sums sums;
};
void s8_finish_plain(const S8Finish& finish, const S8Rows& rows, const S8Sums& sums);

void s8_task_plain(const S8Args& args, const S8Range& range);
void s8_task_avx2(const S8Args& args, const S8Range& range);
void s8_task_avx512vnni(const S8Args& args, const S8Range& range);
void s8_task_amx(const S8Args& args, const S8Range& range);

}  // namespace narrow::kernels
