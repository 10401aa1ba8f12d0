#include <math.h>

#include "kernels/lanes/lanes_avx2.h"
#include "kernels/softmax/exp_avx2.h"
#include "kernels/softmax/narrow_rows.h"
#include "kernels/softmax/row.h"

namespace narrow::kernels {
namespace {

inline float max_of(const float* x, int64_t n) {
  float largest = -HUGE_VALF;
  for (int64_t i = 0; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

inline float reduce(__m256 s) {
  __m128 v = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
  v = _mm_add_ps(v, _mm_movehl_ps(v, v));
  return _mm_cvtss_f32(_mm_add_ss(v, _mm_movehdup_ps(v)));
}

}  // namespace

void softmax_row_avx2(const float* x, int64_t n, bool log, float* y) {
  const __m256 largest = _mm256_set1_ps(max_of(x, n));
  __m256 sums = _mm256_setzero_ps();
  for (int64_t i = 0; i < n; i += 8) {
    const __m256i live = first_lanes8(n - i);
    const __m256 shifted = _mm256_sub_ps(_mm256_maskload_ps(x + i, live), largest);
    const __m256 e = exp_below_zero(shifted);
    sums = _mm256_add_ps(sums, _mm256_and_ps(e, _mm256_castsi256_ps(live)));
    _mm256_maskstore_ps(y + i, live, log ? shifted : e);
  }
  const float sum = reduce(sums);
  const __m256 log_sum = _mm256_set1_ps(logf(sum)), inverse = _mm256_set1_ps(1.0F / sum);
  for (int64_t i = 0; i < n; i += 8) {
    const __m256i live = first_lanes8(n - i);
    const __m256 v = _mm256_maskload_ps(y + i, live);
    _mm256_maskstore_ps(y + i, live, log ? _mm256_sub_ps(v, log_sum) : _mm256_mul_ps(v, inverse));
  }
}

void softmax_rows_avx2(const float* x, int64_t rows, int64_t n, bool log, float* y) {
  softmax_narrow_rows<Simd256>(x, rows, n, log, y);
}

}  // namespace narrow::kernels
