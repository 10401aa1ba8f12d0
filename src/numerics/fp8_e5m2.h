// FP8 E5M2: 1 sign, 5 exponent (bias 15), 2 fraction bits; Inf and NaN as in IEEE 754, largest 57344.
// docs/formats/fp8_e5m2.md; Micikevicius et al., "FP8 Formats for Deep Learning", arXiv:2209.05433.
#pragma once

#include "numerics/small_float.h"

namespace narrow {

using fp8_e5m2 = SmallFloat<5, 2, 15, Specials::ieee>;

static_assert(sizeof(fp8_e5m2) == 1 && fp8_e5m2::kMaxCode == 0x7b);
static_assert(fp8_e5m2::from_bits(fp8_e5m2::kMaxCode).value() == 57344);
static_assert(fp8_e5m2::from_bits(1).value() == 0x1p-16F);

}  // namespace narrow
