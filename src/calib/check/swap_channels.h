// The same pictures with red and blue exchanged, as the model would read them.
#pragma once

#include <optional>

#include "calib/check/inputs.h"
#include "calib/range.h"
#include "data/dataset.h"
#include "tensor/tensor.h"

namespace narrow::calib {

/// Exchanges pixels, not numbers: where mean and std differ from channel to channel, a pixel's number in the
/// other channel is another. What black and white are in each tells how.
struct ChannelSwap {
  int64_t axis = 1;
  Range first = {}, last = {};  // 0 and 255 in these channels; equal ones: numbers stay what they are
};

/// A copy with the first and the last channel exchanged.
Tensor swap_channels(const Tensor& image, const ChannelSwap& swap);
/// What a set of samples says of it: the ends of a known scale, where they reach those of every channel to
/// kEndsLimit (scale.h); else numbers stay what they are, since ends that are no black and white say nothing.
ChannelSwap swap_for(const InputFacts& facts, const std::optional<data::PixelFormat>& description = {});

}  // namespace narrow::calib
