// The same pictures with red and blue exchanged, as the model would read them.
#pragma once

#include "calib/check/inputs.h"
#include "calib/range.h"
#include "tensor/tensor.h"

namespace narrow::calib {

/// Exchanges pixels, not numbers: where mean and std differ from channel to channel, a pixel's number in the
/// other channel is another. What each channel's least and largest are tells how.
struct ChannelSwap {
  int64_t axis = 1;
  Range first = {}, last = {};  // 0 and 255 in these channels; equal ones: numbers stay what they are
};

/// A copy with the first and the last channel exchanged.
Tensor swap_channels(const Tensor& image, const ChannelSwap& swap);
/// What a set of samples says of it: the ends of both channels, where they are more than kOtherEnds of the
/// width apart (chance moves them less).
ChannelSwap swap_for(const InputFacts& facts);
constexpr double kOtherEnds = 0.04;

}  // namespace narrow::calib
