#include <immintrin.h>

#include "kernels/elementwise/runs.h"

namespace narrow::kernels {
namespace {

/// Eight at a time; the last few through copies, so nothing beyond n is touched.
template <class F>
inline bool each(const float* a, const float* b, float* y, int64_t n, F f) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(y + i, f(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i)));
  if (i == n) return true;
  alignas(32) float x[8] = {}, z[8] = {};
  for (int64_t j = 0; i + j < n; ++j) x[j] = a[i + j], z[j] = b[i + j];
  _mm256_store_ps(x, f(_mm256_load_ps(x), _mm256_load_ps(z)));
  for (int64_t j = 0; i + j < n; ++j) y[i + j] = x[j];
  return true;
}

inline __m256 prelu(__m256 x, __m256 slope) {
  return _mm256_blendv_ps(_mm256_mul_ps(x, slope), x, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GE_OQ));
}

}  // namespace

bool binary_run_avx2(Binary op, const float* a, const float* b, const float* b_scale, float* y, int64_t n) {
  if (b_scale != nullptr) {
    const __m256 scale = _mm256_set1_ps(*b_scale);
    if (op == Binary::add)
      return each(a, b, y, n, [=](__m256 x, __m256 q) { return _mm256_fmadd_ps(q, scale, x); });
    return each(a, b, y, n, [=](__m256 x, __m256 q) { return _mm256_fnmadd_ps(q, scale, x); });
  }
  switch (op) {
    case Binary::add:
      return each(a, b, y, n, [](__m256 x, __m256 z) { return _mm256_add_ps(x, z); });
    case Binary::sub:
      return each(a, b, y, n, [](__m256 x, __m256 z) { return _mm256_sub_ps(x, z); });
    case Binary::mul:
      return each(a, b, y, n, [](__m256 x, __m256 z) { return _mm256_mul_ps(x, z); });
    case Binary::div:
      return each(a, b, y, n, [](__m256 x, __m256 z) { return _mm256_div_ps(x, z); });
    case Binary::min:
      return each(a, b, y, n, [](__m256 x, __m256 z) { return _mm256_min_ps(x, z); });
    case Binary::max:
      return each(a, b, y, n, [](__m256 x, __m256 z) { return _mm256_max_ps(x, z); });
    case Binary::prelu:
      return each(a, b, y, n, [](__m256 x, __m256 z) { return prelu(x, z); });
    case Binary::pow:
      return false;
  }
  return false;
}

}  // namespace narrow::kernels
