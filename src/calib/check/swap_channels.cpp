#include "calib/check/swap_channels.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace narrow::calib {

ChannelSwap swap_for(const InputFacts& facts) {
  ChannelSwap swap{.axis = facts.channel_axis};
  const ChannelFacts &first = facts.channels.front(), &last = facts.channels.back();
  const double low = static_cast<double>(first.min), high = static_cast<double>(first.max),
               other_low = static_cast<double>(last.min), other_high = static_cast<double>(last.max),
               width = std::max(high - low, other_high - other_low);
  const bool same =
      std::fabs(low - other_low) <= kOtherEnds * width && std::fabs(high - other_high) <= kOtherEnds * width;
  if (!same && high > low && other_high > other_low)
    swap.first = {first.min, first.max}, swap.last = {last.min, last.max};
  return swap;
}

namespace {

/// A number of one channel as the pixel would be in another.
void convert(std::span<float> values, const Range& from, const Range& to) {
  const float factor = (to.high - to.low) / (from.high - from.low);
  for (float& x : values) x = to.low + (x - from.low) * factor;
}

}  // namespace

Tensor swap_channels(const Tensor& image, const ChannelSwap& swap) {
  Tensor swapped = image.clone();
  const Shape& shape = image.shape();
  const auto axis = static_cast<size_t>(swap.axis);
  const int64_t channels = shape[axis];
  int64_t inner = bytes_of(image.dtype());
  for (size_t i = axis + 1; i < shape.size(); ++i) inner *= shape[i];
  const int64_t outer = inner * channels == 0 ? 0 : image.bytes() / (inner * channels);
  const auto* src = static_cast<const std::byte*>(image.raw());
  auto* dst = static_cast<std::byte*>(swapped.mutable_raw());
  const bool converts = image.dtype() == DType::f32 && swap.first.low < swap.first.high;
  for (int64_t o = 0; o < outer; ++o) {
    const int64_t first = o * channels * inner, last = first + (channels - 1) * inner;
    std::copy_n(src + last, inner, dst + first);
    std::copy_n(src + first, inner, dst + last);
    if (!converts) continue;
    const auto values = [&](int64_t at) {
      return std::span(reinterpret_cast<float*>(dst + at), static_cast<size_t>(inner) / sizeof(float));
    };
    convert(values(first), swap.last, swap.first);
    convert(values(last), swap.first, swap.last);
  }
  return swapped;
}

}  // namespace narrow::calib
