// Depthwise 3x3 convolution of u8 and s8 without a buffer: plain data between front (dw_pairs_conv.cpp) and
// ISA file.
//
// Two taps of 64 channels, unpacked, are two vectors of 32-bit lanes that hold two channels' bytes of both.
// vpdpbusd sums them into one channel's lane where the other's weights are 0: four dot products for two taps
// of 64 channels, 20 for a window, with all weights in registers. Nothing is stored but results, whatever
// the strides are.
//
// Lane 4 * l + k of the four vectors of sums is channel 16 * l + 2 * k, that + 1, that + 8, that + 9. Where
// the last chunk has 32 channels, its vectors hold those of two pixels.
#pragma once

#include <cstdint>

#include "kernels/conv/dw_int8.h"

namespace narrow::kernels {

constexpr int64_t kDwPairsTaps = 9, kDwPairs = 5;         // the last tap with itself
constexpr int64_t kDwPairsChunk = 64, kDwPairsTwin = 32;  // channels

struct DwPairsPlan : DwWindow, DwInt8Finish {
  DType src_type = DType::u8;
  bool lean = false;                 // dw_int8_is_lean()
  const uint8_t* padding = nullptr;  // zero points: a row of the image
  const int8_t* weights = nullptr;   // [chunk][pair][vector of sums][lane] of 4 bytes
  const int32_t* bias = nullptr;     // [chunk][vector of sums][lane], less zero point * sum of weights
  // Lane 4 * l + e of vector v: channel 16 * l + 4 * v + e (dw_int8_finish_avx512.h); `scale` by channel.
  const float* multiplier = nullptr;  // [chunk][v][lane] x_scale * w_scale / out_scale
  const float* scale = nullptr;       // [chunk][channel] x_scale * w_scale
};

/// The task needs no buffer.
void dw_pairs_avx512vnni(const DwPairsPlan& plan, const DwInt8Task& task);

}  // namespace narrow::kernels
