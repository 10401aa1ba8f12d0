// How the bf16 AMX convolution cuts K into tile steps.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/conv/conv.h"
#include "kernels/conv/walk_layout.h"

namespace narrow::kernels {

/// K = taps x steps_per_tap x k_block. Depends on channels and kernel only, so packed weights fit every
/// spatial size.
struct Bf16AmxK {
  int64_t stored_c = 0;  // channels per pixel in the source copy: c, or padded so that steps are long
  bool merged =
      false;  // a tap is a whole kernel row (kw * stored_c adjacent elements): any kw with dilation_w = 1
  int64_t taps = 0, steps_per_tap = 0, k_block = 0;

  int64_t steps() const { return taps * steps_per_tap; }
  int64_t panel_elements() const { return steps() * k_block * 32; }
};

/// No step reads beyond its tap: neighbouring memory may hold NaN, and 0 * NaN is NaN.
Bf16AmxK bf16_amx_k(const ConvShape& shape);

/// The same for a walk over bytes.
ConvLayout bf16_amx_layout(const ConvShape& shape, const Bf16AmxK& k, int64_t planes);

/// The 64-byte tile configuration for steps of k_block elements (amx_steps.h).
std::array<uint8_t, 64> bf16_amx_config(int64_t k_block);

}  // namespace narrow::kernels
