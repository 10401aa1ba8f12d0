// Winograd's minimal filtering F(4x4, 3x3) in whole numbers: a patch of 6x6 pixels and a filter of 3x3 become
// 6x6 numbers of 16 bits each, products of the same place are summed over channels, and 36 sums become 4x4
// outputs: 36 multiplications instead of 144.
//
//   Y = A' [ sum_c (G g G') . (B' d B) ] A     Source: Lavin & Gray, "Fast Algorithms for Convolutional
//   Neural Networks", 2015.
//
// G holds sixths and 24ths. Here rows of G are multiplied by 6, -6, -6, 24, 24 and 6, so that all is whole,
// and rows of A' by 4, -2, -1 and 1 times what takes that back: outputs come out 24, 12, 6 and 6 times as
// large along each axis:
//
//   B' =  4  0 -5  0  1  0      G = 6  0  0      A' =  1 -4 -4  1  1  0    24
//         0 -4 -4  1  1  0          1  1  1            0 -2  2  1 -1  0    12
//         0  4 -4 -1  1  0          1 -1  1            0 -1 -1  1  1  0     6
//         0 -2 -1  2  1  0          1  2  4            0 -1  1  2 -2  1     6
//         0  2 -1 -2  1  0          1 -2  4
//         0  4  0 -5  0  1          0  0  6
//
// Transformed bytes fit 16 bits (at most 68 * 255), transformed weights too (49 * 128). Sums may leave 32
// bits and be taken modulo 2^32, since only y is wanted, 9 * 2^s * y with s of at most 6 being known: 1/9
// exists modulo 2^32, so that 2^s * y is known modulo 2^32, and y modulo 2^26. Where sum |w| * 255 < 2^25
// that is y; where it is not, channels are summed in parts of 112 for which it is. So results equal those of
// other kernels bit for bit.
#pragma once

#include <cstdint>

#include "kernels/conv/s8_task.h"

namespace narrow::kernels {

constexpr int64_t kS8WinogradPoints = 36, kS8WinogradOutputs = 16;

/// One patch: `row` and `pixel` bytes apart; B' d B of every channel, `v_point` elements from one of the 36
/// to the next. Channels are a multiple of 16.
struct S8PatchIn {
  const uint8_t* src;
  int64_t row, pixel, channels;
  int16_t* v;
  int64_t v_point;
};

/// Filters g[pairs][9][columns][2] of pairs of channels and a panel's columns, to G g G':
/// u[pairs][columns][2], `u_point` elements from one of the 36 to the next.
struct S8Filters {
  const int8_t* g;
  int64_t pairs, columns;  // live ones; of g and u as many as a panel has
  int16_t* u;
  int64_t u_point;
};

/// Sums of `pairs` pairs of channels at some of the 36 places, of some patches and the columns of a panel:
/// m[points][rows][columns].
struct S8PatchProducts {
  const int16_t* v;
  int64_t v_row, v_point;  // elements between patches, and between the 36
  const int16_t* u;        // [points][pairs][columns][2]
  int64_t u_point, points, pairs, rows, columns;
  bool adds;            // to the sums in m
  const int8_t* ahead;  // a line for each pair and point into L2; null: nothing
  int32_t* m;
};

/// The 16 outputs of a patch, y[16][columns]: what they begin with is `start`, or what y holds where that is
/// null.
struct S8PatchOut {
  const int32_t* m;
  int64_t m_point;  // elements between the 36
  int64_t columns;  // live ones
  const int32_t* start;
  int32_t* y;
};

/// `in` takes u8 or s8 as the flag says; panels have as many columns as direct kernels' of the instruction
/// set.
struct S8WinogradKernels {
  void (*filters)(const S8Filters& filters);
  void (*in)(const S8PatchIn& patch, bool is_signed);
  void (*products)(const S8PatchProducts& products);
  void (*out)(const S8PatchOut& patch);
  void (*finish)(const S8Finish& finish, const ConvRows& rows, const S8Sums& sums);
};

const S8WinogradKernels& s8_winograd_avx512vnni();
const S8WinogradKernels& s8_winograd_avx2vnni();
const S8WinogradKernels& s8_winograd_avx2();

}  // namespace narrow::kernels
