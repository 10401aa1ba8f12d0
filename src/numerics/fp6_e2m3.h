// FP6 E2M3: 1 sign, 2 exponent (bias 1), 3 fraction bits; no Inf, no NaN, largest 7.5. docs/formats/fp6.md;
// OCP Microscaling Formats (MX) 1.0, 5.3.2.
#pragma once

#include "numerics/small_float.h"

namespace narrow {

using fp6_e2m3 = SmallFloat<2, 3, 1, Specials::none>;

static_assert(sizeof(fp6_e2m3) == 1 && fp6_e2m3::kBits == 6 && fp6_e2m3::kMaxCode == 0x1f);
static_assert(fp6_e2m3::from_bits(fp6_e2m3::kMaxCode).value() == 7.5F);
static_assert(fp6_e2m3::from_bits(1).value() == 0.125F);

}  // namespace narrow
