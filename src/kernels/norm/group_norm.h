// Normalisation of images over groups of channels, channels last:
//   y = (x - mean) / sqrt(var + eps) * gamma[c] + beta[c]
// with mean and variance over all pixels of one image and the channels of c's group. One group: the whole
// image; as many groups as channels: instance normalisation.
#pragma once

#include <cstdint>

#include "base/cpu.h"
#include "kernels/tensor_quant.h"
#include "parallel/thread_pool.h"

namespace narrow::kernels {

struct GroupNormSpec {
  int64_t images = 1, pixels = 1, channels = 1;
  int64_t groups = 1;  // divides channels
  float epsilon = 1e-5F;
  Format src, dst;
};

struct GroupNormBuffers {
  const void* src = nullptr;     // [images, pixels, channels]
  const float* gamma = nullptr;  // [channels], null: 1
  const float* beta = nullptr;   // [channels], null: 0
  void* dst = nullptr;           // [images, pixels, channels]; may be the memory of src, equally wide
  void* scratch = nullptr;       // group_norm_scratch_bytes, 64-byte aligned
};

int64_t group_norm_scratch_bytes(const GroupNormSpec& spec);

/// Sums run in double. Variance is the mean of squared distances from the mean.
void group_norm_reference(const GroupNormSpec& spec, const GroupNormBuffers& buffers);
/// Reads src twice. Sums run in FP32 over at most kGroupNormRows pixels, as distances from their own mean,
/// and in double from there on; pixels are cut into such blocks whatever the number of threads.
void group_norm(const GroupNormSpec& spec, const GroupNormBuffers& buffers, Isa isa, ThreadPool& pool);

constexpr int64_t kGroupNormRows = 256;

}  // namespace narrow::kernels
