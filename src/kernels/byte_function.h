// An activation between int32 sums and the bytes that are stored: 32 parabolas in whole numbers, the same
// bits on every instruction set, at a quarter of what computing it in floats takes.
//
// A sum, with its residual, is first rounded to a position: a whole number of steps, saturated to 16 bits, so
// that positions span [-reach, reach) around 0 (kernels/requantize.h with the step for dst's scale and no
// zero point). Beyond it the function does not move. Each of 32 equal pieces of the span has a parabola in u,
// which runs from -1 to 1 along it:
//
//   piece = position >> 11 & 31          u = int16(position << 5 ^ 0x8000), in 2^-15
//   y     = constant + u * (slope + u * curve)      in 1/128 of dst's scale; sums of 16 bits saturate and
//                                                   products are those of pmulhrsw, (a b + 2^14) >> 15
//   byte  = clamp(y >> 7, -128, 127), for u8 with 128 added
//
// `constant` holds the zero point and what rounds to nearest. A piece ends at 0, where functions may bend.
#pragma once

#include <cstdint>

namespace narrow::kernels {

struct ByteFunction {
  static constexpr int kPieces = 32;
  alignas(64) int16_t constant[kPieces];
  int16_t slope[kPieces], curve[kPieces];
  float step;   // of positions, in real units
  float error;  // largest distance from the activation found, in units of dst's scale, rounding aside
};

}  // namespace narrow::kernels
