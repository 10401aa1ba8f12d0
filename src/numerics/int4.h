// int4 and uint4: -8..7 and 0..15; packed two to a byte, the first in the low nibble (ONNX INT4, UINT4).
// docs/formats/int4.md
#pragma once

#include "numerics/small_int.h"

namespace narrow {

using int4 = SmallInt<4, true>;
using uint4 = SmallInt<4, false>;

static_assert(sizeof(int4) == 1 && int4::kLow == -8 && int4::kHigh == 7);
static_assert(sizeof(uint4) == 1 && uint4::kLow == 0 && uint4::kHigh == 15);
static_assert(int4::wrap(8).bits == -8 && int4::wrap(-1).code() == 15);

}  // namespace narrow
