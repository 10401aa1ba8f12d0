#include "quant/code_steps.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/result.h"
#include "tensor/block_index.h"

namespace narrow::quant {
namespace {

constexpr int kBits = 4, kLastCode = 15, kMostSteps = 15, kLastByte = 127;
/// Of codes -8..7 times the largest step.
constexpr int kReach = 8 * kMostSteps;

/// Where the parameters of an element of the weights are.
class Places {
 public:
  Places(const Shape& shape, const CodeSteps& steps, int64_t channel_axis)
      : group_of_(shape, steps.axis, steps.group_size),
        channels_(shape[static_cast<size_t>(channel_axis)]),
        inside_channel_(elements_of(Shape(shape.begin() + channel_axis + 1, shape.end()))) {}

  size_t group(int64_t element) const { return group_of_(element); }
  size_t channel(int64_t element) const { return static_cast<size_t>(element / inside_channel_ % channels_); }

 private:
  BlockIndex group_of_;
  int64_t channels_, inside_channel_;
};

const uint8_t* nibbles(const Tensor& tensor) { return static_cast<const uint8_t*>(tensor.raw()); }
uint8_t* nibbles(Tensor& tensor) { return static_cast<uint8_t*>(tensor.mutable_raw()); }

/// sum importance (x - byte)^2, or `bound` once it is that much.
double error_of(std::span<const float> group, std::span<const float> importance, int step, int zero,
                double bound) {
  const float inverse = 1.0F / static_cast<float>(step), low = static_cast<float>(-zero),
              high = static_cast<float>(kLastCode - zero);
  double sum = 0;
  for (size_t i = 0; i < group.size() && sum < bound; ++i) {
    const float code = std::clamp(std::nearbyintf(group[i] * inverse), low, high);
    const auto error = static_cast<double>(group[i] - code * static_cast<float>(step));
    sum += importance.empty() ? error * error : static_cast<double>(importance[i]) * error * error;
  }
  return std::min(sum, bound);
}

/// Zero points that can be the best for numbers in [low, high], 0 among them.
struct ZeroPoints {
  int first, last;
};

/// The codes are -zero..15 - zero steps, whatever the zero point on the same grid. Where they reach all
/// numbers with several, one is as good as any; where they reach all with none, it lies between those that
/// reach either end. Of zero points whose codes are no bytes, the nearest whose codes are.
ZeroPoints zero_points(float low, float high, int step) {
  const auto steps = [&](float x) {
    return static_cast<int>(std::nearbyintf(std::clamp(x / static_cast<float>(step), -1024.0F, 1024.0F)));
  };
  const int reaches_low = std::clamp(-steps(low), 0, kLastCode),
            reaches_high = std::clamp(kLastCode - steps(high), 0, kLastCode);
  const int last = std::min(kLastByte / step, kLastCode), first = kLastCode - last;
  const bool all = reaches_low <= reaches_high;
  const int middle = std::clamp((kLastCode + 1) / 2, reaches_low, std::max(reaches_low, reaches_high));
  return {std::clamp(all ? middle : reaches_high, first, last),
          std::clamp(all ? middle : reaches_low, first, last)};
}

/// Bytes of grouped weights whose scales are whole steps.
Tensor bytes_of(const GroupedWeights& weights, const CodeSteps& steps, int64_t channel_axis) {
  Tensor bytes = Tensor::allocate(DType::s8, weights.codes.shape());
  const Places places(bytes.shape(), steps, channel_axis);
  const auto out = bytes.mutable_data<int8_t>();
  for (int64_t i = 0; i < bytes.elements(); ++i) {
    const size_t g = places.group(i);
    const int byte = nibbles(steps.step)[g] * (nibbles(weights.codes)[i] - nibbles(steps.zero_point)[g]);
    NARROW_CHECK(byte >= -kLastByte && byte <= kLastByte);
    out[static_cast<size_t>(i)] = static_cast<int8_t>(byte);
  }
  return bytes;
}

}  // namespace

int64_t CodeSteps::stored_bits(int64_t weights) const {
  return kBits * (weights + (has_groups() ? step.elements() + zero_point.elements() : 0));
}

int largest_step(int zero_point) {
  return std::min(kMostSteps, kLastByte / std::max(zero_point, kLastCode - zero_point));
}

ScaleFit fit_step(std::span<const float> group, std::span<const float> importance) {
  const auto [least_number, most_number] = std::minmax_element(group.begin(), group.end());
  const float low = std::min(*least_number, 0.0F), high = std::max(*most_number, 0.0F);
  ScaleFit best{1, kLastCode / 2 + 1};
  double least = std::numeric_limits<double>::infinity();
  const auto try_step = [&](int step) {
    const ZeroPoints zeros = zero_points(low, high, step);
    for (int zero = zeros.first; zero <= zeros.last; ++zero) {
      const double error = error_of(group, importance, step, zero, least);
      if (error < least) least = error, best = {static_cast<float>(step), zero};
    }
  };
  // The likeliest first: most others are given up half way.
  const int likely = std::clamp(static_cast<int>((high - low) / kLastCode), 1, kMostSteps);
  for (int step = likely; step <= kMostSteps; ++step) try_step(step);
  for (int step = likely - 1; step >= 1; --step) try_step(step);
  return best;
}

int nearest_step(float wanted, int zero_point) {
  const auto most = static_cast<float>(largest_step(zero_point));
  return static_cast<int>(std::nearbyintf(std::clamp(wanted, 1.0F, most)));
}

Quantization channel_scales(const Tensor& weights, int64_t axis) {
  const auto channels = static_cast<size_t>(weights.dim(axis));
  const int64_t inner = elements_of(Shape(weights.shape().begin() + axis + 1, weights.shape().end()));
  std::vector<float> largest(channels, 0);
  const auto values = weights.data<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    float& reach = largest[i / static_cast<size_t>(inner) % channels];
    reach = std::max(reach, std::fabs(values[i]));
  }
  Quantization quant{.scale = {}, .zero_point = std::vector<int32_t>(channels, 0), .axis = axis};
  for (const float reach : largest)
    quant.scale.push_back(symmetric_from_magnitude(reach, {-kReach, kReach}).scale);
  return quant;
}

SteppedWeights step_groups(const Tensor& weights, const Quantization& channels, int64_t axis,
                           int64_t group_size) {
  CodeSteps steps{.step = {}, .zero_point = {}, .axis = axis, .group_size = group_size};
  const Places places(weights.shape(), steps, channels.axis);
  Tensor units = weights.clone();
  const auto values = units.mutable_data<float>();
  for (int64_t i = 0; i < units.elements(); ++i)
    values[static_cast<size_t>(i)] /= channels.scale[places.channel(i)];
  const GroupedWeights grouped = quantize_groups(
      units, axis, {.bits = kBits, .group_size = group_size, .f32_scales = true},
      [](std::span<const float> group, const GroupOptions&, bool) { return fit_step(group); });
  steps.step = cast(grouped.scale, DType::u4), steps.zero_point = grouped.zero_point;
  Tensor bytes = bytes_of(grouped, steps, channels.axis);
  return {std::move(bytes), std::move(steps)};
}

GroupedWeights grouped_of(const Tensor& bytes, const Quantization& channels, const CodeSteps& steps) {
  const Places places(bytes.shape(), steps, channels.axis);
  GroupedWeights weights{.codes = Tensor::allocate(DType::u4, bytes.shape()),
                         .scale = Tensor::allocate(DType::f32, steps.step.shape()),
                         .zero_point = steps.zero_point,
                         .axis = steps.axis,
                         .group_size = steps.group_size,
                         .bits = kBits};
  const auto in = bytes.data<int8_t>();
  const auto scale = weights.scale.mutable_data<float>();
  for (int64_t i = 0; i < bytes.elements(); ++i) {
    const size_t g = places.group(i);
    const int step = nibbles(steps.step)[g];
    nibbles(weights.codes)[i] =
        static_cast<uint8_t>(in[static_cast<size_t>(i)] / step + nibbles(steps.zero_point)[g]);
    scale[g] = static_cast<float>(step) * channels.scale[places.channel(i)];
  }
  return weights;
}

SteppedWeights stepped_of(const GroupedWeights& weights, const Quantization& channels) {
  CodeSteps steps{.step = Tensor::allocate(DType::u4, weights.scale.shape()),
                  .zero_point = weights.zero_point.clone(),
                  .axis = weights.axis,
                  .group_size = weights.group_size};
  const Places places(weights.codes.shape(), steps, channels.axis);
  const auto scale = weights.scale.data<float>();
  for (int64_t i = 0; i < weights.codes.elements(); ++i) {
    const size_t g = places.group(i);
    nibbles(steps.step)[g] = static_cast<uint8_t>(
        nearest_step(scale[g] / channels.scale[places.channel(i)], nibbles(steps.zero_point)[g]));
  }
  Tensor bytes = bytes_of(weights, steps, channels.axis);
  return {std::move(bytes), std::move(steps)};
}

Quantization rescaled_channels(const GroupedWeights& weights, const Quantization& channels,
                               const CodeSteps& steps) {
  const Places places(weights.codes.shape(), steps, channels.axis);
  const auto scale = weights.scale.data<float>();
  Quantization changed = channels;
  for (int64_t i = 0; i < weights.codes.elements(); ++i) {
    const size_t g = places.group(i);
    changed.scale[places.channel(i)] = scale[g] / static_cast<float>(nibbles(steps.step)[g]);
  }
  return changed;
}

}  // namespace narrow::quant
