// Four bytes of a source as one integer, to be broadcast beside four bytes of each column.
#pragma once

#include <cstdint>

#include "kernels/conv/narrow_inline.h"

namespace narrow::kernels {

NARROW_INLINE int32_t load_four(const uint8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return four;
}

}  // namespace narrow::kernels
