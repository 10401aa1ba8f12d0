// The two hot loops of a group normalisation in FP32, per ISA.
#pragma once

#include <cstdint>

namespace narrow::kernels {

constexpr int64_t kBlockChannels = 64;  // a cache line four times: what one block reads of each pixel

/// Sums of a few channels over some pixels, each channel apart:
///   pivot[c] = mean of x[r, c],   first[c] = sum of x[r, c] - pivot[c],   second[c] = sum of its square
/// `first` is what rounding left of 0: with it mean and variance are exact to the rounding of distances.
struct GroupNormBlock {
  const float* x;  // [rows, channels], `pitch` floats from row to row
  int64_t pitch, rows;
  int64_t channels;               // at most kBlockChannels
  float *pivot, *first, *second;  // [kBlockChannels]; those behind `channels` may be written too
};

/// y[i] = (x[i] - mean[c]) * scale[c] + shift[c],  c = i % channels, i < n
struct GroupNormRun {
  const float* x;
  float* y;  // may be x
  int64_t n, channels;
  const float *mean, *scale, *shift;  // [channels]
};

void group_norm_block_plain(const GroupNormBlock& block);
void group_norm_block_avx2(const GroupNormBlock& block);
void group_norm_block_avx512(const GroupNormBlock& block);

void group_norm_run_plain(const GroupNormRun& run);
void group_norm_run_avx2(const GroupNormRun& run);
void group_norm_run_avx512(const GroupNormRun& run);

}  // namespace narrow::kernels
