#include <immintrin.h>

#include "kernels/peak/peak.h"

namespace narrow::kernels {

void peak_int8_avx2vnni() {
  __m256i s0 = _mm256_setzero_si256(), s1 = _mm256_setzero_si256(), s2 = _mm256_setzero_si256(),
          s3 = _mm256_setzero_si256(), s4 = _mm256_setzero_si256(), s5 = _mm256_setzero_si256(),
          s6 = _mm256_setzero_si256(), s7 = _mm256_setzero_si256(), s8 = _mm256_setzero_si256(),
          s9 = _mm256_setzero_si256(), s10 = _mm256_setzero_si256(), s11 = _mm256_setzero_si256();
  const __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(-2);
  for (int64_t i = 0; i < kPeakRounds; ++i) {
    s0 = _mm256_dpbusd_avx_epi32(s0, a, b);
    s1 = _mm256_dpbusd_avx_epi32(s1, a, b);
    s2 = _mm256_dpbusd_avx_epi32(s2, a, b);
    s3 = _mm256_dpbusd_avx_epi32(s3, a, b);
    s4 = _mm256_dpbusd_avx_epi32(s4, a, b);
    s5 = _mm256_dpbusd_avx_epi32(s5, a, b);
    s6 = _mm256_dpbusd_avx_epi32(s6, a, b);
    s7 = _mm256_dpbusd_avx_epi32(s7, a, b);
    s8 = _mm256_dpbusd_avx_epi32(s8, a, b);
    s9 = _mm256_dpbusd_avx_epi32(s9, a, b);
    s10 = _mm256_dpbusd_avx_epi32(s10, a, b);
    s11 = _mm256_dpbusd_avx_epi32(s11, a, b);
    // The loop may not be folded.
    asm volatile(""
                 : "+x"(s0), "+x"(s1), "+x"(s2), "+x"(s3), "+x"(s4), "+x"(s5), "+x"(s6), "+x"(s7), "+x"(s8),
                   "+x"(s9), "+x"(s10), "+x"(s11));
  }
}

}  // namespace narrow::kernels
