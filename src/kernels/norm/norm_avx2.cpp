#include <immintrin.h>

#include "kernels/norm/row.h"

namespace narrow::kernels {
namespace {

inline float reduce(__m256 s) {
  __m128 v = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
  v = _mm_add_ps(v, _mm_movehl_ps(v, v));
  return _mm_cvtss_f32(_mm_add_ss(v, _mm_movehdup_ps(v)));
}

inline float mean_of(const float* x, int64_t n) {
  __m256 s0 = _mm256_setzero_ps(), s1 = s0;
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    s0 = _mm256_add_ps(s0, _mm256_loadu_ps(x + i));
    s1 = _mm256_add_ps(s1, _mm256_loadu_ps(x + i + 8));
  }
  float sum = reduce(_mm256_add_ps(s0, s1));
  for (; i < n; ++i) sum += x[i];
  return sum / static_cast<float>(n);
}

inline float spread_of(const float* x, int64_t n, float mean) {
  const __m256 m = _mm256_set1_ps(mean);
  __m256 s0 = _mm256_setzero_ps(), s1 = s0;
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m256 a = _mm256_sub_ps(_mm256_loadu_ps(x + i), m),
                 b = _mm256_sub_ps(_mm256_loadu_ps(x + i + 8), m);
    s0 = _mm256_fmadd_ps(a, a, s0);
    s1 = _mm256_fmadd_ps(b, b, s1);
  }
  float sum = reduce(_mm256_add_ps(s0, s1));
  for (; i < n; ++i) sum += (x[i] - mean) * (x[i] - mean);
  return sum;
}

}  // namespace

void norm_row_avx2(const NormRow& row) {
  const float mean = row.rms ? 0.0F : mean_of(row.x, row.n);
  const float variance = spread_of(row.x, row.n, mean) / static_cast<float>(row.n);
  const float inverse = 1.0F / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(variance + row.epsilon)));
  const __m256 m = _mm256_set1_ps(mean), scale = _mm256_set1_ps(inverse);
  int64_t i = 0;
  for (; i + 8 <= row.n; i += 8) {
    __m256 y = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(row.x + i), m), scale);
    if (row.gamma != nullptr) y = _mm256_mul_ps(y, _mm256_loadu_ps(row.gamma + i));
    if (row.beta != nullptr) y = _mm256_add_ps(y, _mm256_loadu_ps(row.beta + i));
    _mm256_storeu_ps(row.y + i, y);
  }
  for (; i < row.n; ++i) {
    float y = (row.x[i] - mean) * inverse;
    if (row.gamma != nullptr) y *= row.gamma[i];
    if (row.beta != nullptr) y += row.beta[i];
    row.y[i] = y;
  }
}

}  // namespace narrow::kernels
