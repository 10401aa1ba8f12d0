#include "kernels/math/simd_avx512.h"
#include "kernels/peak/peak.h"

namespace narrow::kernels {

void peak_f32_avx512() {
  __m512 s0 = _mm512_setzero_ps(), s1 = _mm512_setzero_ps(), s2 = _mm512_setzero_ps(),
         s3 = _mm512_setzero_ps(), s4 = _mm512_setzero_ps(), s5 = _mm512_setzero_ps(),
         s6 = _mm512_setzero_ps(), s7 = _mm512_setzero_ps(), s8 = _mm512_setzero_ps(),
         s9 = _mm512_setzero_ps(), s10 = _mm512_setzero_ps(), s11 = _mm512_setzero_ps();
  const __m512 a = _mm512_set1_ps(0.5F), b = _mm512_set1_ps(0.25F);
  for (int64_t i = 0; i < kPeakRounds; ++i) {
    s0 = _mm512_fmadd_ps(a, b, s0);
    s1 = _mm512_fmadd_ps(a, b, s1);
    s2 = _mm512_fmadd_ps(a, b, s2);
    s3 = _mm512_fmadd_ps(a, b, s3);
    s4 = _mm512_fmadd_ps(a, b, s4);
    s5 = _mm512_fmadd_ps(a, b, s5);
    s6 = _mm512_fmadd_ps(a, b, s6);
    s7 = _mm512_fmadd_ps(a, b, s7);
    s8 = _mm512_fmadd_ps(a, b, s8);
    s9 = _mm512_fmadd_ps(a, b, s9);
    s10 = _mm512_fmadd_ps(a, b, s10);
    s11 = _mm512_fmadd_ps(a, b, s11);
    // The loop may not be folded.
    asm volatile(""
                 : "+v"(s0), "+v"(s1), "+v"(s2), "+v"(s3), "+v"(s4), "+v"(s5), "+v"(s6), "+v"(s7), "+v"(s8),
                   "+v"(s9), "+v"(s10), "+v"(s11));
  }
}

}  // namespace narrow::kernels
