// A table of 256 bytes lies in four registers; vpermi2b looks up 64 bytes in two of them at once.
#include "kernels/elementwise/runs.h"
#include "kernels/lanes/lanes_avx512.h"

namespace narrow::kernels {

void lookup_bytes_avx512vnni(const uint8_t* table, const uint8_t* src, int64_t src_pitch, uint8_t* dst,
                             int64_t dst_pitch, int64_t rows, int64_t n) {
  const __m512i t0 = _mm512_loadu_si512(table), t1 = _mm512_loadu_si512(table + 64);
  const __m512i t2 = _mm512_loadu_si512(table + 128), t3 = _mm512_loadu_si512(table + 192);
  for (int64_t row = 0; row < rows; ++row, src += src_pitch, dst += dst_pitch)
    for (int64_t i = 0; i < n; i += 64) {
      const __mmask64 live = first_lanes64(n - i);
      const __m512i index = _mm512_maskz_loadu_epi8(live, src + i);
      const __m512i low = _mm512_permutex2var_epi8(t0, index, t1);  // index bits 0..6
      const __m512i high = _mm512_permutex2var_epi8(t2, index, t3);
      _mm512_mask_storeu_epi8(dst + i, live, _mm512_mask_mov_epi8(low, _mm512_movepi8_mask(index), high));
    }
}

}  // namespace narrow::kernels
