// FP4 E2M1: 1 sign, 2 exponent (bias 1), 1 fraction bit: 0 0.5 1 1.5 2 3 4 6 and their negatives.
// docs/formats/fp4_e2m1.md; OCP Microscaling Formats (MX) 1.0, 5.3.3.
#pragma once

#include "numerics/small_float.h"

namespace narrow {

using fp4_e2m1 = SmallFloat<2, 1, 1, Specials::none>;

static_assert(sizeof(fp4_e2m1) == 1 && fp4_e2m1::kBits == 4 && fp4_e2m1::kMaxCode == 7);
static_assert(fp4_e2m1::from_bits(fp4_e2m1::kMaxCode).value() == 6);
static_assert(fp4_e2m1::from_bits(1).value() == 0.5F);

}  // namespace narrow
