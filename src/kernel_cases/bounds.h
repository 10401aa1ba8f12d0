// How far a float result may be from the reference's: what the families' bounds are made of.
#pragma once

#include "kernels/activation.h"

namespace narrow::kernel_cases {

constexpr float kEpsilon = 0x1p-23F;  // twice the unit roundoff of FP32

/// A function of this steepness grows a distance by at most this factor: gelu 1.13, silu and mish 1.1,
/// hard_swish 1.5 at 3; leaky_relu, elu and hard_sigmoid by their alpha.
float steepness(const kernels::Activation& activation);

/// none, relu, clip, leaky_relu, hard_sigmoid, hard_swish: operations every instruction set rounds alike
/// (kernels/math/vmath.h). The others are off by at most 3e-7 max(1, |x|) and 8 eps of their value.
bool is_exact(kernels::Act act);
float activation_error(const kernels::Activation& activation, float x, float y);

}  // namespace narrow::kernel_cases
