#include "kernel_cases/bounds.h"

#include <algorithm>
#include <cmath>

namespace narrow::kernel_cases {

using kernels::Act;

float steepness(const kernels::Activation& a) {
  switch (a.kind) {
    case Act::gelu:
    case Act::gelu_tanh:
      return 1.13F;
    case Act::silu:
    case Act::mish:
      return 1.1F;
    case Act::hard_swish:
      return 1.5F;
    case Act::leaky_relu:
    case Act::elu:
    case Act::hard_sigmoid:
      return std::max(1.0F, std::fabs(a.alpha));
    default:
      return 1;
  }
}

bool is_exact(Act act) {
  return act == Act::none || act == Act::relu || act == Act::clip || act == Act::leaky_relu ||
         act == Act::hard_sigmoid || act == Act::hard_swish;
}

float activation_error(const kernels::Activation& a, float x, float y) {
  if (is_exact(a.kind)) return 0;
  return 3e-7F * std::max(1.0F, std::fabs(x)) + 8 * kEpsilon * std::fabs(y);
}

}  // namespace narrow::kernel_cases
