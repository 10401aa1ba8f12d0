// clang-format off
#include "kernels/math/simd_avx2.h"
// clang-format on
#include "kernels/gradient/gradient_simd.h"

namespace narrow::kernels {

void column_products_avx2(const ColumnProducts& p) { column_products_v<Simd256>(p); }
void bounded_gradient_avx2(const BoundedGradient& g) { bounded_gradient_v<Simd256>(g); }
double squared_error_avx2(const SquaredError& e) { return squared_error_v<Simd256>(e); }
void rounding_step_avx2(const RoundingStep& s) { rounding_step_v<Simd256>(s); }

}  // namespace narrow::kernels
