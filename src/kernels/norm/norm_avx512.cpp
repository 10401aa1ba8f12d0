#include "kernels/lanes/lanes_avx512.h"
#include "kernels/norm/row.h"

namespace narrow::kernels {
namespace {

/// f(x) summed over the row: four sums of 16 lanes, so that additions overlap.
template <class F>
inline float sum_of(const float* x, int64_t n, F f) {
  __m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
  int64_t i = 0;
  for (; i + 64 <= n; i += 64) {
    s0 = f(s0, _mm512_loadu_ps(x + i), 0xffff);
    s1 = f(s1, _mm512_loadu_ps(x + i + 16), 0xffff);
    s2 = f(s2, _mm512_loadu_ps(x + i + 32), 0xffff);
    s3 = f(s3, _mm512_loadu_ps(x + i + 48), 0xffff);
  }
  for (; i < n; i += 16) {
    const __mmask16 live = first_lanes16(n - i);
    s0 = f(s0, _mm512_maskz_loadu_ps(live, x + i), live);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)));
}

inline __m512 normalised(const NormRow& row, int64_t i, __mmask16 live, __m512 mean, __m512 inverse) {
  __m512 y = _mm512_mul_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(live, row.x + i), mean), inverse);
  if (row.gamma != nullptr) y = _mm512_mul_ps(y, _mm512_maskz_loadu_ps(live, row.gamma + i));
  if (row.beta != nullptr) y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(live, row.beta + i));
  return y;
}

}  // namespace

void norm_row_avx512(const NormRow& row) {
  const auto n = static_cast<float>(row.n);
  const float mean =
      row.rms ? 0.0F
              : sum_of(row.x, row.n, [](__m512 s, __m512 x, __mmask16) { return _mm512_add_ps(s, x); }) / n;
  const __m512 m = _mm512_set1_ps(mean);
  const float spread = sum_of(row.x, row.n, [m](__m512 s, __m512 x, __mmask16 live) {
    const __m512 d = _mm512_maskz_sub_ps(live, x, m);
    return _mm512_fmadd_ps(d, d, s);
  });
  const float deviation = _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(spread / n + row.epsilon)));
  const __m512 inverse = _mm512_set1_ps(1.0F / deviation);
  for (int64_t i = 0; i < row.n; i += 16) {
    const __mmask16 live = first_lanes16(row.n - i);
    _mm512_mask_storeu_ps(row.y + i, live, normalised(row, i, live, m, inverse));
  }
}

}  // namespace narrow::kernels
