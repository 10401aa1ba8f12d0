// clang-format off
#include "kernels/math/simd_avx512.h"
// clang-format on
#include "kernels/gradient/gradient_simd.h"

namespace narrow::kernels {

void column_products_avx512(const ColumnProducts& p) { column_products_v<Simd512>(p); }
void bounded_gradient_avx512(const BoundedGradient& g) { bounded_gradient_v<Simd512>(g); }
double squared_error_avx512(const SquaredError& e) { return squared_error_v<Simd512>(e); }
void rounding_step_avx512(const RoundingStep& s) { rounding_step_v<Simd512>(s); }

}  // namespace narrow::kernels
