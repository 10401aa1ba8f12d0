// How the bf16 convolutions cut K into steps: of AMX tiles, whose order of weights registers read as well.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/conv/conv.h"
#include "kernels/conv/walk_layout.h"

namespace narrow::kernels {

/// K = taps x steps_per_tap x k_block. Depends on channels and kernel only, so packed weights fit every
/// spatial size.
struct Bf16K {
  int64_t stored_c =
      0;  // channels per pixel and group in the source copy: c, or padded so that steps are long
  bool merged =
      false;  // a tap is a whole kernel row (kw * stored_c adjacent elements): any kw with dilation_w = 1
  int64_t taps = 0, steps_per_tap = 0, k_block = 0;

  int64_t steps() const { return taps * steps_per_tap; }
  int64_t panel_elements() const { return steps() * k_block * 32; }
};

/// No step reads beyond its tap: neighbouring memory may hold NaN, and 0 * NaN is NaN. Of a convolution with
/// groups a tap is one step of any even length, for registers alone: tiles want at most 32 channels.
Bf16K bf16_k(const ConvShape& shape);

/// The same for a walk over bytes, in blocks of `rows` positions.
ConvLayout bf16_layout(const ConvShape& shape, const Bf16K& k, int64_t planes, int64_t rows);

/// The 64-byte configuration of AMX tiles for steps of k_block elements (amx_steps.h).
std::array<uint8_t, 64> bf16_config(int64_t k_block);

}  // namespace narrow::kernels
