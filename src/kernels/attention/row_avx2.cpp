#include "kernels/attention/row.h"
#include "kernels/lanes/lanes_avx2.h"
#include "kernels/softmax/exp_avx2.h"

namespace narrow::kernels {
float attention_row_avx2(float* s, int64_t n, float scale, const float* mask) {
  const __m256 lowest = _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(0xff800000U)));
  const __m256 factor = _mm256_set1_ps(scale);
  __m256 largest = lowest;
  for (int64_t j = 0; j < n; j += 8) {
    const __m256i live = first_lanes8(n - j);
    __m256 x = _mm256_mul_ps(_mm256_maskload_ps(s + j, live), factor);
    if (mask != nullptr) x = _mm256_add_ps(x, _mm256_maskload_ps(mask + j, live));
    largest = _mm256_max_ps(_mm256_blendv_ps(lowest, x, _mm256_castsi256_ps(live)), largest);
    _mm256_maskstore_ps(s + j, live, x);
  }
  alignas(32) float lanes[8];
  _mm256_store_ps(lanes, largest);
  float top = lanes[0];
  for (int i = 1; i < 8; ++i) top = lanes[i] > top ? lanes[i] : top;
  const bool none = top == _mm256_cvtss_f32(lowest);
  const __m256 shift = _mm256_set1_ps(top);
  __m256 sums = _mm256_setzero_ps();
  for (int64_t j = 0; j < n; j += 8) {
    const __m256i live = first_lanes8(n - j);
    const __m256 e =
        none ? _mm256_setzero_ps() : exp_below_zero(_mm256_sub_ps(_mm256_maskload_ps(s + j, live), shift));
    sums = _mm256_add_ps(sums, _mm256_and_ps(e, _mm256_castsi256_ps(live)));
    _mm256_maskstore_ps(s + j, live, e);
  }
  _mm256_store_ps(lanes, sums);
  float sum = 0;
  for (int i = 0; i < 8; ++i) sum += lanes[i];
  return sum;
}

}  // namespace narrow::kernels
