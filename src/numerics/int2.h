// int2 and uint2: -2..1 and 0..3; packed four to a byte, the first in the lowest bits (ONNX INT2, UINT2).
// docs/formats/int2.md
#pragma once

#include "numerics/small_int.h"

namespace narrow {

using int2 = SmallInt<2, true>;
using uint2 = SmallInt<2, false>;

static_assert(sizeof(int2) == 1 && int2::kLow == -2 && int2::kHigh == 1);
static_assert(sizeof(uint2) == 1 && uint2::kLow == 0 && uint2::kHigh == 3);
static_assert(int2::wrap(2).bits == -2 && int2::wrap(-1).code() == 3);

}  // namespace narrow
