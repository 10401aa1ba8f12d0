// The one definition of how an int32 accumulator leaves an integer kernel. Every ISA and the reference follow
// it bit for bit, so results are equal everywhere.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace narrow::kernels {

/// acc -> real:       r = float(acc) * (x_scale * w_scale[channel])   (the product of scales rounded to
/// float) integer residual:  r = fma(float(residual - r_zero), r_scale, r) float residual:    r = r +
/// residual activation:        r = act(r) integer out:       q = clamp(round_half_even(r * (1 / out_scale)) +
/// out_zero, low, high)
///
/// With a clamp-like activation (none, relu, clip) and no residual or an integer one, what is added is in
/// units of out_scale:
///   r = float(acc) * requantize_factor(double(x_scale) * w_scale / out_scale)
///   r = fma(float(residual - r_zero), float(double(r_scale) / out_scale), r)
///   q = clamp(round_half_even(r) + out_zero, low, high)
///
/// With a function in an activation's place (kernels/byte_function.h) those are units of its positions: its
/// step stands for out_scale, 0 for out_zero, and [low, high] are those of 16 bits; what is stored is the
/// function's byte for that position.
///
/// [low, high] is the type's range narrowed by the activation's bounds (requantize_bound). float(acc) rounds
/// to nearest even; the bias is already in acc. NaN gives low.
inline int32_t round_and_clamp(float r, int32_t zero_point, int32_t low, int32_t high) {
  // Clamp in float first: beyond 2^31 the conversion would be undefined. 2^24 is exact and far outside [low,
  // high].
  const float rounded = std::nearbyintf(r);
  const float bounded =
      !(rounded > -16777216.0F) ? -16777216.0F : (rounded > 16777216.0F ? 16777216.0F : rounded);
  const int32_t q = static_cast<int32_t>(bounded) + zero_point;
  return q < low ? low : (q > high ? high : q);
}

/// Rounded to 22 significant bits (to 24 on the way), so that 1.5 * 2^23 times it is a float, too: an acc
/// below 2^22 that was summed onto the bits of that float, 0x4b400000, needs no conversion,
///   fma(bits as float, factor, -1.5 * 2^23 * factor) = float(acc) * factor   to the last bit.
inline float requantize_factor(double factor) {
  const auto rounded = static_cast<float>(factor);
  if (!std::isfinite(rounded)) return rounded;
  const auto bits = std::bit_cast<uint32_t>(rounded);
  return std::bit_cast<float>((bits + 1 + (bits >> 2 & 1)) & ~uint32_t{3});
}
constexpr int32_t kSumsOnFloat = 0x4b400000;  // the bits of 1.5 * 2^23
constexpr int64_t kMostOnFloat = int64_t{1} << 22;

inline int32_t requantize(int32_t acc, float multiplier, int32_t zero_point, int32_t low, int32_t high) {
  return round_and_clamp(static_cast<float>(acc) * multiplier, zero_point, low, high);
}

inline int32_t requantize_real(float r, float out_scale, int32_t zero_point, int32_t low, int32_t high) {
  return round_and_clamp(r * (1.0F / out_scale), zero_point, low, high);
}

/// The stored integer of an activation's bound; +-Inf gives a number outside every type's range.
inline int32_t requantize_bound(float bound, float out_scale, int32_t zero_point) {
  return round_and_clamp(bound * (1.0F / out_scale), zero_point, -16777216, 16777216);
}

}  // namespace narrow::kernels
