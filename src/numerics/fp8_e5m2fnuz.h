// FP8 E5M2FNUZ: 1 sign, 5 exponent (bias 16), 2 fraction bits; no Inf, no -0, NaN is 10000000, largest 57344.
// docs/formats/fp8_e5m2fnuz.md; Noune et al., "8-bit Numerical Formats for Deep Neural Networks",
// arXiv:2206.02915.
#pragma once

#include "numerics/small_float.h"

namespace narrow {

using fp8_e5m2fnuz = SmallFloat<5, 2, 16, Specials::nan_is_minus_zero>;

static_assert(sizeof(fp8_e5m2fnuz) == 1 && fp8_e5m2fnuz::kMaxCode == 0x7f);
static_assert(fp8_e5m2fnuz::from_bits(fp8_e5m2fnuz::kMaxCode).value() == 57344);
static_assert(fp8_e5m2fnuz::from_bits(1).value() == 0x1p-17F);

}  // namespace narrow
