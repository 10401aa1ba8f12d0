// The exponential of softmax, for files compiled for AVX2; see exp_avx512.h.
#pragma once

#include "kernels/math/vmath_avx2.h"

namespace narrow::kernels {
namespace {

/// exp(x) for x <= 0; 0 below -87. NaN stays NaN.
inline __m256 exp_below_zero(__m256 x) {
  const __m256 least = _mm256_set1_ps(-87.0F);
  const __m256 vanishes = _mm256_cmp_ps(x, least, _CMP_LT_OQ);
  return _mm256_andnot_ps(vanishes, vexp(_mm256_max_ps(least, x)));
}

}  // namespace
}  // namespace narrow::kernels
