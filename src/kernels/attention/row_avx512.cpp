#include "kernels/attention/row.h"
#include "kernels/lanes/lanes_avx512.h"
#include "kernels/softmax/exp_avx512.h"

namespace narrow::kernels {

float attention_row_avx512(float* s, int64_t n, float scale, const float* mask) {
  const __m512 lowest = _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(0xff800000U)));
  const __m512 factor = _mm512_set1_ps(scale);
  __m512 largest = lowest;
  for (int64_t j = 0; j < n; j += 16) {
    const __mmask16 live = first_lanes16(n - j);
    __m512 x = _mm512_mul_ps(_mm512_maskz_loadu_ps(live, s + j), factor);
    if (mask != nullptr) x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(live, mask + j));
    largest = _mm512_mask_max_ps(largest, live, x, largest);
    _mm512_mask_storeu_ps(s + j, live, x);
  }
  const float top = _mm512_reduce_max_ps(largest);
  const bool none = top == _mm512_cvtss_f32(lowest);
  const __m512 shift = _mm512_set1_ps(top);
  __m512 sums = _mm512_setzero_ps();
  for (int64_t j = 0; j < n; j += 16) {
    const __mmask16 live = first_lanes16(n - j);
    const __m512 e =
        none ? _mm512_setzero_ps() : exp_below_zero(_mm512_sub_ps(_mm512_maskz_loadu_ps(live, s + j), shift));
    sums = _mm512_mask_add_ps(sums, live, sums, e);
    _mm512_mask_storeu_ps(s + j, live, e);
  }
  return _mm512_reduce_add_ps(sums);
}

}  // namespace narrow::kernels
