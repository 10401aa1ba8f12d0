#include <math.h>

#include "kernels/lanes/lanes_avx512.h"
#include "kernels/softmax/exp_avx512.h"
#include "kernels/softmax/narrow_rows.h"
#include "kernels/softmax/row.h"

namespace narrow::kernels {
namespace {

inline float max_of(const float* x, int64_t n) {
  const __m512 lowest = _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(0xff800000U)));
  __m512 m0 = lowest, m1 = lowest;
  int64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    m0 = _mm512_max_ps(_mm512_loadu_ps(x + i), m0);  // NaN is passed over here and met again by exp
    m1 = _mm512_max_ps(_mm512_loadu_ps(x + i + 16), m1);
  }
  for (; i < n; i += 16) m0 = _mm512_max_ps(_mm512_mask_loadu_ps(lowest, first_lanes16(n - i), x + i), m0);
  return _mm512_reduce_max_ps(_mm512_max_ps(m0, m1));
}

}  // namespace

void softmax_row_avx512(const float* x, int64_t n, bool log, float* y) {
  const __m512 largest = _mm512_set1_ps(max_of(x, n));
  __m512 sums = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = first_lanes16(n - i);
    const __m512 shifted = _mm512_sub_ps(_mm512_maskz_loadu_ps(live, x + i), largest);
    const __m512 e = exp_below_zero(shifted);
    sums = _mm512_mask_add_ps(sums, live, sums, e);
    _mm512_mask_storeu_ps(y + i, live, log ? shifted : e);
  }
  const float sum = _mm512_reduce_add_ps(sums);
  const __m512 log_sum = _mm512_set1_ps(logf(sum)), inverse = _mm512_set1_ps(1.0F / sum);
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = first_lanes16(n - i);
    const __m512 v = _mm512_maskz_loadu_ps(live, y + i);
    _mm512_mask_storeu_ps(y + i, live, log ? _mm512_sub_ps(v, log_sum) : _mm512_mul_ps(v, inverse));
  }
}

void softmax_rows_avx512(const float* x, int64_t rows, int64_t n, bool log, float* y) {
  softmax_narrow_rows<Simd512>(x, rows, n, log, y);
}

}  // namespace narrow::kernels
