// The exponential of softmax, for files compiled for AVX-512.
#pragma once

#include "kernels/math/vmath_avx512.h"

namespace narrow::kernels {
namespace {

/// exp(x) for x <= 0. Below -87, where exp would be subnormal, 0: subnormals cost a microcode assist each,
/// masked scores are all there, and beside a sum of at least 1 they are nothing. NaN stays NaN.
inline __m512 exp_below_zero(__m512 x) {
  const __m512 least = _mm512_set1_ps(-87.0F);
  const __mmask16 vanishes = _mm512_cmp_ps_mask(x, least, _CMP_LT_OQ);
  return _mm512_mask_mov_ps(vexp(_mm512_max_ps(least, x)), vanishes, _mm512_setzero_ps());
}

}  // namespace
}  // namespace narrow::kernels
