#include "kernels/conv/narrow_inline.h"
#include "kernels/math/simd_avx512.h"
#include "kernels/peak/peak.h"

namespace narrow::kernels {

void peak_bf16_avx512bf16() {
  const __m512 halves = _mm512_set1_ps(0.5F);
  const __m512bh a = _mm512_cvtne2ps_pbh(halves, halves);
  __m512 s[kPeakDots];
  NARROW_UNROLL(32)
  for (__m512& sum : s) sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < kPeakRounds; ++i) {
    NARROW_UNROLL(32)
    for (__m512& sum : s) {
      sum = _mm512_dpbf16_ps(sum, a, a);
      asm volatile("" : "+v"(sum));  // the loop may not be folded
    }
  }
}

}  // namespace narrow::kernels
