// int3 and uint3: -4..3 and 0..7; packed eight in three bytes, lowest bits first (no ONNX type; a format of
// weights). docs/formats/int3.md
#pragma once

#include "numerics/small_int.h"

namespace narrow {

using int3 = SmallInt<3, true>;
using uint3 = SmallInt<3, false>;

static_assert(sizeof(int3) == 1 && int3::kLow == -4 && int3::kHigh == 3);
static_assert(sizeof(uint3) == 1 && uint3::kLow == 0 && uint3::kHigh == 7);
static_assert(int3::wrap(4).bits == -4 && int3::wrap(-1).code() == 7);

}  // namespace narrow
