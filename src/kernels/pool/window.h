// One output pixel of a pooling: the taps of its window that lie inside the image, for a stretch of channels.
// Per ISA.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace narrow::kernels {

struct PoolWindow {
  const uint8_t* src;  // first tap, first channel
  int64_t row_bytes, tap_bytes;
  int64_t rows, taps;  // of taps; either may be 0
  int64_t channels;
};

/// dst[c] = largest tap, in the type itself; the lowest value when there is none.
void pool_max_plain(DType type, const PoolWindow& window, void* dst);
void pool_max_avx512(DType type, const PoolWindow& window, void* dst);

/// Floats: dst[c] = sum / factor. u8 s8: dst[c] = float(sum(q - zero_point)) * factor.
struct PoolSum {
  DType type;
  int32_t zero_point;
  float factor;
};
void pool_sum_plain(const PoolSum& sum, const PoolWindow& window, float* dst);
void pool_sum_avx512(const PoolSum& sum, const PoolWindow& window, float* dst);

}  // namespace narrow::kernels
