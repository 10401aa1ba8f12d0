#include "kernels/elementwise/runs.h"
#include "kernels/math/array_math.h"

namespace narrow::kernels {

bool unary_run_avx2(const UnaryFunction& function, const float* x, float* y, int64_t n) {
  switch (function.kind) {
    case Unary::activation:
      activate_avx2(function.activation, x, y, n);
      return true;
    case Unary::exp:
      exp_avx2(x, y, n);
      return true;
    case Unary::erf:
      erf_avx2(x, y, n);
      return true;
    default:
      return false;
  }
}

}  // namespace narrow::kernels
