#include "numerics/quantization.h"

#include <algorithm>
#include <limits>

namespace narrow {
namespace {
// Below this a scale's reciprocal is no longer finite in FP32.
constexpr float kSmallestScale = 1.0F / std::numeric_limits<float>::max() * 4.0F;
}  // namespace

AffineParameters affine_from_range(float low, float high, IntegerRange range) {
  low = std::min(low, 0.0F);
  high = std::max(high, 0.0F);
  const double steps = static_cast<double>(range.high) - range.low;
  const auto scale = static_cast<float>((static_cast<double>(high) - low) / steps);
  if (!(scale > kSmallestScale)) return {1.0F, range.low < 0 ? 0 : range.low};
  const double zero = range.low - static_cast<double>(low) / scale;
  return {scale, static_cast<int32_t>(std::clamp(std::nearbyint(zero), static_cast<double>(range.low),
                                                 static_cast<double>(range.high)))};
}

AffineParameters symmetric_from_magnitude(float magnitude, IntegerRange range) {
  const auto scale = static_cast<float>(static_cast<double>(std::fabs(magnitude)) / range.high);
  if (!(scale > kSmallestScale)) return {1.0F, 0};
  return {scale, 0};
}

}  // namespace narrow
