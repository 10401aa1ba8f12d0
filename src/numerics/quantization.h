// The affine quantization of ONNX:  q = saturate(round_half_even(x / scale) + zero_point),  x' = (q -
// zero_point) * scale
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace narrow {

/// Scales and zero points of one value: one pair per tensor (axis = -1) or one per index along `axis`.
struct Quantization {
  std::vector<float> scale;
  std::vector<int32_t> zero_point;  // as long as scale
  int64_t axis = -1;

  bool per_tensor() const { return axis < 0; }
  bool operator==(const Quantization&) const = default;
};

struct IntegerRange {
  int32_t low, high;
};
constexpr IntegerRange kRangeU8{0, 255}, kRangeS8{-128, 127};

/// Round half to even whatever the floating-point environment: std::nearbyint under the default mode.
inline float round_half_even(float x) { return std::nearbyintf(x); }

/// One value, ONNX QuantizeLinear semantics (division, not multiplication by a reciprocal).
inline int32_t quantize(float x, float scale, int32_t zero_point, IntegerRange range) {
  const float q = round_half_even(x / scale) + static_cast<float>(zero_point);
  if (!(q > static_cast<float>(range.low))) return range.low;  // NaN too
  if (q >= static_cast<float>(range.high)) return range.high;
  return static_cast<int32_t>(q);
}

inline float dequantize(int32_t q, float scale, int32_t zero_point) {
  return static_cast<float>(q - zero_point) * scale;
}

/// How a range [low, high] becomes a scale and zero point in `range`. Zero is always represented exactly.
struct AffineParameters {
  float scale;
  int32_t zero_point;
};
/// Asymmetric: the range is widened to hold 0. A range of width 0 gives scale 1.
AffineParameters affine_from_range(float low, float high, IntegerRange range);
/// Symmetric: zero_point 0 for signed ranges (uses [-high, high] of the range, so s8 never holds -128).
AffineParameters symmetric_from_magnitude(float magnitude, IntegerRange range);

}  // namespace narrow
