// Bounds that clamp-like activations set, decided once per kernel.
#pragma once

#include <string>

#include "kernels/conv/conv.h"

namespace narrow::kernels {

struct IntegerBounds {
  int32_t low = 0, high = 0;
};

/// The range of an integer dst, narrowed by the activation as kernels/requantize.h says; zeros for a float
/// dst.
IntegerBounds integer_bounds(const ConvSpec& spec);

/// Whether all scales become one factor (kernels/requantize.h): integers in and out, an activation that only
/// bounds or a function in its place, no residual or an integer one.
bool is_one_factor(const ConvSpec& spec);
/// What the integers are that this factor leads to: those of dst, or a function's positions.
IntegerBounds factor_bounds(const ConvSpec& spec);
int32_t factor_zero(const ConvSpec& spec);
/// The factor of an integer residual then.
float residual_multiplier(const ConvSpec& spec);
/// Why outputs cannot have the scales of their own that ConvSpec::dst_scales gives; empty when they can, or
/// there are none.
std::string unsupported_dst_scales(const ConvSpec& spec);

/// none and relu as the clip that does the same, so that kernels bound with two constants; others unchanged.
Activation as_clip(const Activation& activation);

}  // namespace narrow::kernels
