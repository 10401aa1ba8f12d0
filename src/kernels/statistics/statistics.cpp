#include "kernels/statistics/statistics.h"

#include <algorithm>
#include <cmath>

namespace narrow::kernels {
namespace {

void extent_plain(const float* x, int64_t n, Extent& e) {
  for (int64_t i = 0; i < n; ++i) {
    e.nans += x[i] != x[i] ? 1 : 0;
    e.zeros += x[i] == 0 ? 1 : 0;
    if (!std::isfinite(x[i])) continue;
    e.min = std::min(e.min, x[i]);
    e.max = std::max(e.max, x[i]);
    ++e.finite;
  }
}

/// floor without a call: truncation, corrected below zero.
int32_t bin_of(float x, float scale, int32_t bins) {
  const float scaled = x * scale;
  const auto truncated = static_cast<int32_t>(scaled);
  const bool below = scaled < static_cast<float>(truncated) || (x < 0 && scaled == 0);
  return std::clamp(truncated + bins / 2 - (below ? 1 : 0), 0, bins - 1);
}

void bins_plain(const float* x, int64_t n, float scale, int32_t bins, int32_t* indices) {
  for (int64_t i = 0; i < n; ++i) indices[i] = bin_of(x[i], scale, bins);
}

void channels_plain(const float* x, int64_t rows, int64_t pitch, int64_t channels,
                    const ChannelStatistics& s) {
  for (int64_t r = 0; r < rows; ++r, x += pitch)
    for (int64_t c = 0; c < channels; ++c) {
      s.low[c] = x[c] < s.low[c] ? x[c] : s.low[c];
      s.high[c] = x[c] > s.high[c] ? x[c] : s.high[c];
      s.total[c] += static_cast<double>(x[c]);
      s.square[c] += static_cast<double>(x[c]) * static_cast<double>(x[c]);
    }
}

constexpr StatisticsKernels kPlain = {extent_plain, bins_plain, channels_plain};

const StatisticsKernels& kernels_of(Isa isa) { return isa >= Isa::avx512 ? statistics_avx512() : kPlain; }

}  // namespace

Extent extent_of(const float* x, int64_t n, Isa isa) {
  Extent e;
  kernels_of(isa).extent(x, n, e);
  return e;
}

void bin_indices(const float* x, int64_t n, float scale, int32_t bins, int32_t* indices, Isa isa) {
  kernels_of(isa).bins(x, n, scale, bins, indices);
}

void channel_statistics(const float* x, int64_t rows, int64_t pitch, int64_t channels,
                        const ChannelStatistics& statistics, Isa isa) {
  kernels_of(isa).channels(x, rows, pitch, channels, statistics);
}

}  // namespace narrow::kernels
