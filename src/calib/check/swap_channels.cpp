#include "calib/check/swap_channels.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "calib/check/scale.h"

namespace narrow::calib {

ChannelSwap swap_for(const InputFacts& facts, const std::optional<data::PixelFormat>& description) {
  ChannelSwap swap{.axis = facts.channel_axis};
  double least = kEndsLimit;
  for (const PixelScale& scale : known_scales(facts.channels.size(), description)) {
    double most = 0;
    std::vector<Range> ends;
    for (size_t c = 0; c < facts.channels.size(); ++c) {
      const double low = -scale.offset[c], high = 255 * scale.factor[c] - scale.offset[c];
      most = std::max({most, std::fabs(static_cast<double>(facts.channels[c].min) - low) / (high - low),
                       std::fabs(static_cast<double>(facts.channels[c].max) - high) / (high - low)});
      ends.push_back({static_cast<float>(low), static_cast<float>(high)});
    }
    if (most >= least) continue;
    least = most;
    swap.first = ends.front(), swap.last = ends.back();
  }
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
