// What a blocked product over output positions is handed, of any type and instruction set: plain structs, no
// functions.
//
//   sums[position, output] = A[position, K] x B[K, output],  K = segments runs of contiguous source bytes
#pragma once

#include <cstdint>

namespace narrow::kernels {

/// One prepared product over positions (walk_image.h) with the buffers of one run.
struct ConvWalk {
  const uint8_t* a;  // position 0
  int64_t a_stride;  // bytes between positions
  int64_t a_plane;   // bytes from a part of split numbers to the next
  const int64_t* offsets;
  int64_t segments, segment_bytes, step_bytes;
  const uint8_t* tail;  // positions from tail_begin on are read from here
  int64_t tail_begin;
  int64_t readable;  // no position from here on may be read: a block starts early and skips what is done
  int64_t positions, pitch, rows, oh, ow;
  bool dense;         // position p is pixel p of dst: nothing lies in between
  int64_t row_begin;  // of position 0, among the rows of all images
  const int8_t* b;    // panels
  int64_t panel_bytes;
  bool b_streams;           // a task's panels are too large for L1 and pass by for every block of positions
  int64_t group_bytes;      // of a position, per group
  int64_t outputs, panels;  // of one group
  int64_t dst_pixel;        // elements between pixels of dst
};

/// Memory to bring into L2 beside the products, some lines after each tile.
struct ConvFetch {
  const char* at;
  int64_t lines, per_tile;
};

/// A task: blocks of tile rows x panels of one group.
struct ConvRange {
  int64_t group, block_begin, block_end, panel_begin, panel_end;
  bool panels_outside;  // the loop over panels is the outer one
  ConvFetch* fetch;     // null: nothing
};

/// The pixels of one block that are stored: where the pixel's sums begin, and its first element in dst. One
/// more repeats the last, for kernels that finish two at a time.
struct ConvRows {
  static constexpr int64_t kMax = 32;
  int64_t count;
  int64_t sums[kMax + 1];
  int64_t element[kMax + 1];
};

/// `columns` sums of each row; column 0 is output channel `channel` of dst and column `at` of what is kept
/// per padded column (scale, bias).
template <class Sum>
struct ConvSums {
  const Sum* c;
  int64_t columns, channel, at;
};

/// Sums computed and not yet finished.
template <class Sum>
struct ConvPending {
  const ConvRows* rows;
  ConvSums<Sum> sums;
};

}  // namespace narrow::kernels
