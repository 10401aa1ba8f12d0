// Bounds that clamp-like activations set, decided once per kernel.
#pragma once

#include "kernels/conv/conv.h"

namespace narrow::kernels {

struct IntegerBounds {
  int32_t low = 0, high = 0;
};

/// The range of an integer dst, narrowed by the activation as kernels/requantize.h says; zeros for a float
/// dst.
IntegerBounds integer_bounds(const ConvSpec& spec);

/// none and relu as the clip that does the same, so that kernels bound with two constants; others unchanged.
Activation as_clip(const Activation& activation);

}  // namespace narrow::kernels
