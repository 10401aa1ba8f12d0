// A heavy node's weights as matrices: one per group, contraction by result channels.
#pragma once

#include <cstdint>

#include "ir/graph.h"

namespace narrow::quant {

/// y[., n] = sum_k x[., k] w[k, n] for each of `groups` groups. A convolution contracts over kernel positions
/// and channels, positions outermost: k = position * channels + channel, so that a group of grouped scales
/// (groups.h: along the channels) is a run of k.
struct HeavyShape {
  int64_t groups = 1, k = 0, n = 0;
  int64_t positions = 1, channels = 0;  // k = positions * channels
  int64_t stride_group = 0, stride_position = 0, stride_channel = 1, stride_n = 0;  // in the weights

  /// Of element (k, n) of a group in the weights.
  int64_t index(int64_t group, int64_t at_k, int64_t at_n) const {
    return group * stride_group + at_k / channels * stride_position + at_k % channels * stride_channel +
           at_n * stride_n;
  }
};

/// Precondition: is_heavy(node).
HeavyShape heavy_shape(const ir::Node& node);

}  // namespace narrow::quant
