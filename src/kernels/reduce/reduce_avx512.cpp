#include "kernels/math/simd_avx512.h"
#include "kernels/reduce/vectors.h"

namespace narrow::kernels {
namespace {

struct WithDoubles : Simd512 {
  using D = __m512d;
  static inline D zero_d() { return _mm512_setzero_pd(); }
  static inline D low(F x) { return _mm512_cvtps_pd(_mm512_castps512_ps256(x)); }
  static inline D high(F x) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)); }
  static inline D add_d(D a, D b) { return _mm512_add_pd(a, b); }
  static inline D fma_d(D a, D b, D c) { return _mm512_fmadd_pd(a, b, c); }
  static inline void store_d(double* p, D x) { _mm512_storeu_pd(p, x); }
};

}  // namespace

double gather_row_avx512(Gather kind, const float* x, int64_t n) {
  return gather_row_of<WithDoubles>(kind, x, n);
}
void gather_columns_avx512(Gather kind, const Columns& c) { gather_columns_of<WithDoubles>(kind, c); }

}  // namespace narrow::kernels
