// What calibration asks of every value: its extent, the bins of a histogram, extents and sums per channel.
//
// Results are equal on all ISAs: minima, maxima and counts do not depend on order, and the sums of a channel
// run in double over its rows in order (the square of a float is exact in double).
#pragma once

#include <cstdint>
#include <limits>

#include "base/cpu.h"

namespace narrow::kernels {

struct Extent {
  float min = std::numeric_limits<float>::infinity(), max = -std::numeric_limits<float>::infinity();
  int64_t finite = 0, zeros = 0, nans = 0;
};

/// min and max are those of the finite values.
Extent extent_of(const float* x, int64_t n, Isa isa);

/// indices[i] = floor(x[i] * scale) + bins / 2, clamped to [0, bins), for finite x. A negative x whose
/// product vanishes still belongs below the middle.
void bin_indices(const float* x, int64_t n, float scale, int32_t bins, int32_t* indices, Isa isa);

/// Per column of x [rows, pitch], for the first `channels` columns: low and high are widened, x is added to
/// total and x^2 to square. NaN leaves low and high alone.
struct ChannelStatistics {
  float *low, *high;
  double *total, *square;
};
void channel_statistics(const float* x, int64_t rows, int64_t pitch, int64_t channels,
                        const ChannelStatistics& statistics, Isa isa);

// One per ISA.
struct StatisticsKernels {
  void (*extent)(const float* x, int64_t n, Extent& e);
  void (*bins)(const float* x, int64_t n, float scale, int32_t bins, int32_t* indices);
  void (*channels)(const float* x, int64_t rows, int64_t pitch, int64_t channels, const ChannelStatistics& s);
};
const StatisticsKernels& statistics_avx512();

}  // namespace narrow::kernels
