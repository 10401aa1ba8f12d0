#include <immintrin.h>

#include "kernels/peak/peak.h"

namespace narrow::kernels {

void peak_f32_avx2() {
  __m256 s0 = _mm256_setzero_ps(), s1 = _mm256_setzero_ps(), s2 = _mm256_setzero_ps(),
         s3 = _mm256_setzero_ps(), s4 = _mm256_setzero_ps(), s5 = _mm256_setzero_ps(),
         s6 = _mm256_setzero_ps(), s7 = _mm256_setzero_ps(), s8 = _mm256_setzero_ps(),
         s9 = _mm256_setzero_ps(), s10 = _mm256_setzero_ps(), s11 = _mm256_setzero_ps();
  const __m256 a = _mm256_set1_ps(0.5F), b = _mm256_set1_ps(0.25F);
  for (int64_t i = 0; i < kPeakRounds; ++i) {
    s0 = _mm256_fmadd_ps(a, b, s0);
    s1 = _mm256_fmadd_ps(a, b, s1);
    s2 = _mm256_fmadd_ps(a, b, s2);
    s3 = _mm256_fmadd_ps(a, b, s3);
    s4 = _mm256_fmadd_ps(a, b, s4);
    s5 = _mm256_fmadd_ps(a, b, s5);
    s6 = _mm256_fmadd_ps(a, b, s6);
    s7 = _mm256_fmadd_ps(a, b, s7);
    s8 = _mm256_fmadd_ps(a, b, s8);
    s9 = _mm256_fmadd_ps(a, b, s9);
    s10 = _mm256_fmadd_ps(a, b, s10);
    s11 = _mm256_fmadd_ps(a, b, s11);
    // The loop may not be folded.
    asm volatile(""
                 : "+x"(s0), "+x"(s1), "+x"(s2), "+x"(s3), "+x"(s4), "+x"(s5), "+x"(s6), "+x"(s7), "+x"(s8),
                   "+x"(s9), "+x"(s10), "+x"(s11));
  }
}

/// As the kernels multiply: pairs of words, since vpmaddubsw saturates.
void peak_int8_avx2() {
  __m256i s0 = _mm256_setzero_si256(), s1 = _mm256_setzero_si256(), s2 = _mm256_setzero_si256(),
          s3 = _mm256_setzero_si256(), s4 = _mm256_setzero_si256(), s5 = _mm256_setzero_si256(),
          s6 = _mm256_setzero_si256(), s7 = _mm256_setzero_si256(), s8 = _mm256_setzero_si256(),
          s9 = _mm256_setzero_si256(), s10 = _mm256_setzero_si256(), s11 = _mm256_setzero_si256();
  const __m256i a = _mm256_set1_epi16(3);
  for (int64_t i = 0; i < 2 * kPeakRounds; ++i) {
    s0 = _mm256_add_epi32(s0, _mm256_madd_epi16(a, s0));
    s1 = _mm256_add_epi32(s1, _mm256_madd_epi16(a, s1));
    s2 = _mm256_add_epi32(s2, _mm256_madd_epi16(a, s2));
    s3 = _mm256_add_epi32(s3, _mm256_madd_epi16(a, s3));
    s4 = _mm256_add_epi32(s4, _mm256_madd_epi16(a, s4));
    s5 = _mm256_add_epi32(s5, _mm256_madd_epi16(a, s5));
    s6 = _mm256_add_epi32(s6, _mm256_madd_epi16(a, s6));
    s7 = _mm256_add_epi32(s7, _mm256_madd_epi16(a, s7));
    s8 = _mm256_add_epi32(s8, _mm256_madd_epi16(a, s8));
    s9 = _mm256_add_epi32(s9, _mm256_madd_epi16(a, s9));
    s10 = _mm256_add_epi32(s10, _mm256_madd_epi16(a, s10));
    s11 = _mm256_add_epi32(s11, _mm256_madd_epi16(a, s11));
    // The loop may not be folded.
    asm volatile(""
                 : "+x"(s0), "+x"(s1), "+x"(s2), "+x"(s3), "+x"(s4), "+x"(s5), "+x"(s6), "+x"(s7), "+x"(s8),
                   "+x"(s9), "+x"(s10), "+x"(s11));
  }
}

}  // namespace narrow::kernels
