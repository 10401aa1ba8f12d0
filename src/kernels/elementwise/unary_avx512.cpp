#include "kernels/elementwise/runs.h"
#include "kernels/lanes/lanes_avx512.h"
#include "kernels/math/array_math.h"

namespace narrow::kernels {
namespace {

template <class F>
inline bool each(const float* x, float* y, int64_t n, F f) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) _mm512_storeu_ps(y + i, f(_mm512_loadu_ps(x + i)));
  if (i < n) {
    const __mmask16 live = first_lanes16(n - i);
    _mm512_mask_storeu_ps(y + i, live, f(_mm512_maskz_loadu_ps(live, x + i)));
  }
  return true;
}

inline __m512 sign(__m512 x) {
  const __m512 zero = _mm512_setzero_ps(), one = _mm512_set1_ps(1.0F);
  const __m512 up = _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, zero, _CMP_GT_OQ), one);
  return _mm512_mask_mov_ps(up, _mm512_cmp_ps_mask(x, zero, _CMP_LT_OQ), _mm512_set1_ps(-1.0F));
}

}  // namespace

bool unary_run_avx512(const UnaryFunction& function, const float* x, float* y, int64_t n) {
  const __m512 one = _mm512_set1_ps(1.0F);
  switch (function.kind) {
    case Unary::activation:
      activate_avx512(function.activation, x, y, n);
      return true;
    case Unary::exp:
      exp_avx512(x, y, n);
      return true;
    case Unary::erf:
      erf_avx512(x, y, n);
      return true;
    case Unary::sqrt:
      return each(x, y, n, [](__m512 v) { return _mm512_sqrt_ps(v); });
    case Unary::reciprocal:
      return each(x, y, n, [=](__m512 v) { return _mm512_div_ps(one, v); });
    case Unary::abs:
      return each(x, y, n, [](__m512 v) { return _mm512_abs_ps(v); });
    case Unary::neg:
      return each(x, y, n, [](__m512 v) { return _mm512_xor_ps(v, _mm512_set1_ps(-0.0F)); });
    case Unary::sign:
      return each(x, y, n, [](__m512 v) { return sign(v); });
    case Unary::floor:
      return each(x, y, n, [](__m512 v) {
        return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
      });
    case Unary::ceil:
      return each(x, y, n, [](__m512 v) {
        return _mm512_roundscale_ps(v, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
      });
    case Unary::round:
      return each(x, y, n, [](__m512 v) { return Simd512::round(v); });
    case Unary::softsign:
      return each(x, y, n, [=](__m512 v) { return _mm512_div_ps(v, _mm512_add_ps(one, _mm512_abs_ps(v))); });
    default:
      return false;
  }
}

}  // namespace narrow::kernels
