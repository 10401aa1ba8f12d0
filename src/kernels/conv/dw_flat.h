// Depthwise convolution of u8 and s8, windows of three columns and up to four rows, along whole rows: plain
// data between front (dw_flat_conv.cpp) and ISA file.
//
// A row of pixels is one line of bytes, and so is its result: position p of an output row needs positions
// p + j * c of the source rows, whatever channel that is. Vectors run over positions, so no lane is wasted
// whatever c is, and weights repeat every c positions.
//
// Source rows are interleaved four at a time into planes. Of 64 positions from p on, plane v holds p + 16 l +
// 4 v .. p + 16 l + 4 v + 3 for l = 0 .. 3, each as a lane of four rows' bytes: the order unpacking leaves
// them in, and one in which what lies a multiple of four positions away is an unaligned load. Two output rows
// share what is interleaved where four source rows hold both windows.
#pragma once

#include <cstdint>

#include "kernels/conv/dw_int8.h"

namespace narrow::kernels {

/// Bytes from plane to plane: positions of a row, with slack behind.
constexpr int64_t kDwFlatPlane = 8'896;
/// Columns of a window, and most of its rows.
constexpr int64_t kDwFlatTaps = 3, kDwFlatGroup = 4;

struct DwFlatPlan : DwWindow, DwInt8Finish {
  int64_t rows = 1;      // output rows at once, 1 or 2
  int64_t patterns = 1;  // tiles of 64 positions after which channels repeat
  DType src_type = DType::u8;
  int32_t src_zero = 0;
  bool lean = false;                  // dw_int8_is_lean()
  const int8_t* weights = nullptr;    // [pattern][row][tap][plane][16 lanes] of 4 bytes
  const int32_t* bias = nullptr;      // [pattern][plane][16 lanes], less zero point * sum of weights
  const float* multiplier = nullptr;  // the same of x_scale * w_scale / out_scale
  const float* scale = nullptr;       // [pattern][64] in the order of positions: factors of finish_real
};

/// Output rows [row_begin, row_end), columns [column_begin, column_end) of one image.
struct DwFlatTask {
  const uint8_t* src = nullptr;
  const void* residual = nullptr;
  void* dst = nullptr;
  int64_t image = 0, row_begin = 0, row_end = 0, column_begin = 0, column_end = 0;
  uint8_t* planes = nullptr;  // 4 of kDwFlatPlane bytes
};

void dw_flat_avx512vnni(const DwFlatPlan& plan, const DwFlatTask& task);

}  // namespace narrow::kernels
