// FP8 E4M3FN: 1 sign, 4 exponent (bias 7), 3 fraction bits; no Inf, NaN is s1111111, largest 448.
// docs/formats/fp8_e4m3fn.md; Micikevicius et al., "FP8 Formats for Deep Learning", arXiv:2209.05433.
#pragma once

#include "numerics/small_float.h"

namespace narrow {

using fp8_e4m3fn = SmallFloat<4, 3, 7, Specials::nan>;

static_assert(sizeof(fp8_e4m3fn) == 1 && fp8_e4m3fn::kMaxCode == 0x7e);
static_assert(fp8_e4m3fn::from_bits(fp8_e4m3fn::kMaxCode).value() == 448);
static_assert(fp8_e4m3fn::from_bits(1).value() == 0x1p-9F);

}  // namespace narrow
