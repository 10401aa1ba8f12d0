// The one definition of how an int32 accumulator leaves an integer kernel. Every ISA and the reference follow it bit for
// bit, so results are equal everywhere.
#pragma once

#include <cmath>
#include <cstdint>

namespace narrow::kernels {

/// acc -> real:       r = float(acc) * scale            scale = x_scale * w_scale[channel]
/// residual:          r = fma(residual - r_zero, r_scale, r)   (residual as stored integer, difference as float)
/// activation:        r = act(r)
/// integer out:       q = clamp(round_half_even(r * inverse_out_scale) + out_zero, low, high)
/// without residual and with a clamp-like activation, scale and inverse_out_scale are one factor:
///                    q = clamp(round_half_even(float(acc) * multiplier) + out_zero, low, high)
///                    where multiplier = float(double(x_scale) * w_scale / out_scale) and the activation's bounds are
///                    folded into [low, high].
/// float(acc) rounds to nearest even; the bias is already in acc.
inline int32_t requantize(int32_t acc, float multiplier, int32_t zero_point, int32_t low, int32_t high) {
  const float r = std::nearbyintf(static_cast<float>(acc) * multiplier);
  // Clamp in float first: beyond 2^31 the conversion would be undefined. 2^24 is exact and far outside [low, high].
  const float bounded = r < -16777216.0F ? -16777216.0F : (r > 16777216.0F ? 16777216.0F : r);
  const int32_t q = static_cast<int32_t>(bounded) + zero_point;
  return q < low ? low : (q > high ? high : q);
}

}  // namespace narrow::kernels
