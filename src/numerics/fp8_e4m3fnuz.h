// FP8 E4M3FNUZ: 1 sign, 4 exponent (bias 8), 3 fraction bits; no Inf, no -0, NaN is 10000000, largest 240.
// docs/formats/fp8_e4m3fnuz.md; Noune et al., "8-bit Numerical Formats for Deep Neural Networks",
// arXiv:2206.02915.
#pragma once

#include "numerics/small_float.h"

namespace narrow {

using fp8_e4m3fnuz = SmallFloat<4, 3, 8, Specials::nan_is_minus_zero>;

static_assert(sizeof(fp8_e4m3fnuz) == 1 && fp8_e4m3fnuz::kMaxCode == 0x7f);
static_assert(fp8_e4m3fnuz::from_bits(fp8_e4m3fnuz::kMaxCode).value() == 240);
static_assert(fp8_e4m3fnuz::from_bits(1).value() == 0x1p-10F);

}  // namespace narrow
