#include "kernels/layout/interleave.h"

#include <cstddef>

namespace narrow::kernels {

Interleave interleave_plan(int64_t count, int64_t c) {
  Interleave plan{count, c, 64 / (count * c), {}};
  const int64_t pixel = count * c;
  for (int64_t b = 0; b < plan.at_once * pixel; ++b)
    plan.order.at(static_cast<size_t>(b)) = static_cast<uint8_t>(b % pixel / c * 32 + b / pixel * c + b % c);
  return plan;
}

}  // namespace narrow::kernels
