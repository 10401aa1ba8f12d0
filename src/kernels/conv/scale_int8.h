// Depthwise 1x1 convolution of u8 and s8 (a factor, a shift and a clamp per channel): plain data between
// front (scale_int8_conv.cpp) and ISA file.
//
// Bytes are multiplied where they lie: vector v of a chunk's weights holds the weight of channel 4 * l + v in
// byte v of its 32-bit lane l and zeros elsewhere, so that one dot product of four bytes takes that channel
// out.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace narrow::kernels {

constexpr int64_t kScaleInt8ChunkAvx512 = 64, kScaleInt8ChunkAvx2 = 32;  // channels

struct ScaleInt8Plan {
  int64_t channels = 0;
  int64_t src_pixel = 0, dst_pixel = 0;  // bytes from pixel to pixel
  DType src_type = DType::u8, dst_type = DType::u8;
  int32_t zero_point = 0, low = 0, high = 0;  // of dst
  const void* weights = nullptr;              // [chunk][v = 4][bytes of a chunk]
  const int32_t* bias = nullptr;              // [chunk][v][l], less zero point * weight
  const float* multiplier = nullptr;          // [chunk][v][l] x_scale * w_scale / out_scale
};

/// Pixels [begin, end) of src and dst, [pixel][channels].
void scale_int8_avx512vnni(const ScaleInt8Plan& plan, const uint8_t* src, uint8_t* dst, int64_t begin,
                           int64_t end);
void scale_int8_avx2(const ScaleInt8Plan& plan, const uint8_t* src, uint8_t* dst, int64_t begin, int64_t end);

}  // namespace narrow::kernels
