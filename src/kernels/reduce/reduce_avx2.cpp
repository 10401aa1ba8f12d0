#include "kernels/math/simd_avx2.h"
#include "kernels/reduce/vectors.h"

namespace narrow::kernels {
namespace {

struct WithDoubles : Simd256 {
  using D = __m256d;
  static inline D zero_d() { return _mm256_setzero_pd(); }
  static inline D low(F x) { return _mm256_cvtps_pd(_mm256_castps256_ps128(x)); }
  static inline D high(F x) { return _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)); }
  static inline D add_d(D a, D b) { return _mm256_add_pd(a, b); }
  static inline D fma_d(D a, D b, D c) { return _mm256_fmadd_pd(a, b, c); }
  static inline void store_d(double* p, D x) { _mm256_storeu_pd(p, x); }
};

}  // namespace

double gather_row_avx2(Gather kind, const float* x, int64_t n) {
  return gather_row_of<WithDoubles>(kind, x, n);
}
void gather_columns_avx2(Gather kind, const Columns& c) { gather_columns_of<WithDoubles>(kind, c); }

}  // namespace narrow::kernels
