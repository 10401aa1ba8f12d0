// FP6 E3M2: 1 sign, 3 exponent (bias 3), 2 fraction bits; no Inf, no NaN, largest 28. docs/formats/fp6.md;
// OCP Microscaling Formats (MX) 1.0, 5.3.2.
#pragma once

#include "numerics/small_float.h"

namespace narrow {

using fp6_e3m2 = SmallFloat<3, 2, 3, Specials::none>;

static_assert(sizeof(fp6_e3m2) == 1 && fp6_e3m2::kBits == 6 && fp6_e3m2::kMaxCode == 0x1f);
static_assert(fp6_e3m2::from_bits(fp6_e3m2::kMaxCode).value() == 28);
static_assert(fp6_e3m2::from_bits(1).value() == 0.0625F);

}  // namespace narrow
