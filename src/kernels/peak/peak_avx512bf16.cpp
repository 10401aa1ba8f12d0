#include "kernels/math/simd_avx512.h"
#include "kernels/peak/peak.h"

namespace narrow::kernels {

void peak_bf16_avx512bf16() {
  __m512 s0 = _mm512_setzero_ps(), s1 = _mm512_setzero_ps(), s2 = _mm512_setzero_ps(),
         s3 = _mm512_setzero_ps(), s4 = _mm512_setzero_ps(), s5 = _mm512_setzero_ps(),
         s6 = _mm512_setzero_ps(), s7 = _mm512_setzero_ps(), s8 = _mm512_setzero_ps(),
         s9 = _mm512_setzero_ps(), s10 = _mm512_setzero_ps(), s11 = _mm512_setzero_ps();
  const __m512 ones = _mm512_set1_ps(0.5F);
  const __m512bh a = _mm512_cvtne2ps_pbh(ones, ones), b = a;
  for (int64_t i = 0; i < kPeakRounds; ++i) {
    s0 = _mm512_dpbf16_ps(s0, a, b);
    s1 = _mm512_dpbf16_ps(s1, a, b);
    s2 = _mm512_dpbf16_ps(s2, a, b);
    s3 = _mm512_dpbf16_ps(s3, a, b);
    s4 = _mm512_dpbf16_ps(s4, a, b);
    s5 = _mm512_dpbf16_ps(s5, a, b);
    s6 = _mm512_dpbf16_ps(s6, a, b);
    s7 = _mm512_dpbf16_ps(s7, a, b);
    s8 = _mm512_dpbf16_ps(s8, a, b);
    s9 = _mm512_dpbf16_ps(s9, a, b);
    s10 = _mm512_dpbf16_ps(s10, a, b);
    s11 = _mm512_dpbf16_ps(s11, a, b);
    // The loop may not be folded.
    asm volatile(""
                 : "+v"(s0), "+v"(s1), "+v"(s2), "+v"(s3), "+v"(s4), "+v"(s5), "+v"(s6), "+v"(s7), "+v"(s8),
                   "+v"(s9), "+v"(s10), "+v"(s11));
  }
}

}  // namespace narrow::kernels
