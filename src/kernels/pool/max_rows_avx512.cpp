#include "kernels/lanes/lanes_avx512.h"
#include "kernels/pool/max_rows.h"

namespace narrow::kernels {
namespace {

template <bool kSigned>
NARROW_LANE_INLINE __m512i larger(__m512i a, __m512i b) {
  return kSigned ? _mm512_max_epi8(a, b) : _mm512_max_epu8(a, b);
}

/// to[i] = the largest of from[j * step + i] for j < count, i < bytes.
template <bool kSigned>
NARROW_LANE_INLINE void max_run(const uint8_t* from, int64_t step, int64_t count, int64_t bytes,
                                uint8_t* to) {
  int64_t i = 0;
  for (; i + 64 <= bytes; i += 64) {
    __m512i most = _mm512_loadu_si512(from + i);
    for (int64_t j = 1; j < count; ++j) most = larger<kSigned>(most, _mm512_loadu_si512(from + j * step + i));
    _mm512_storeu_si512(to + i, most);
  }
  if (i == bytes) return;
  const __mmask64 live = first_lanes64(bytes - i);
  __m512i most = _mm512_maskz_loadu_epi8(live, from + i);
  for (int64_t j = 1; j < count; ++j)
    most = larger<kSigned>(most, _mm512_maskz_loadu_epi8(live, from + j * step + i));
  _mm512_mask_storeu_epi8(to + i, live, most);
}

template <bool kSigned>
void max_of_columns(const MaxColumns& of, const uint8_t* line, uint8_t* out) {
  if (of.step == of.c) return max_run<kSigned>(line, of.tap_step, of.taps, of.pixels * of.c, out);
  for (int64_t p = 0; p < of.pixels; ++p)
    max_run<kSigned>(line + p * of.step, of.tap_step, of.taps, of.c, out + p * of.c);
}

}  // namespace

void max_of_rows_avx512(bool is_signed, const uint8_t* src, int64_t row_stride, int64_t rows, int64_t bytes,
                        uint8_t* line) {
  if (is_signed)
    max_run<true>(src, row_stride, rows, bytes, line);
  else
    max_run<false>(src, row_stride, rows, bytes, line);
}

void max_of_columns_avx512(bool is_signed, const MaxColumns& of, const uint8_t* line, uint8_t* out) {
  if (is_signed)
    max_of_columns<true>(of, line, out);
  else
    max_of_columns<false>(of, line, out);
}

}  // namespace narrow::kernels
