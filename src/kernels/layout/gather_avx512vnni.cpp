// Bytes of a pixel in another order: 64 at a time, each from any of four registers.
#include "kernels/lanes/lanes_avx512.h"
#include "kernels/layout/gather.h"

namespace narrow::kernels {
namespace {

/// Of kRegisters registers of 64 bytes, lane by lane as `order` says; `upper`: lanes from the last two.
template <int kRegisters>
NARROW_LANE_INLINE __m512i pick(const __m512i* r, __m512i order, __mmask64 upper) {
  if constexpr (kRegisters == 1) return _mm512_permutexvar_epi8(order, r[0]);
  const __m512i low = _mm512_permutex2var_epi8(r[0], order, r[1]);
  if constexpr (kRegisters == 2) return low;
  return _mm512_mask_mov_epi8(low, upper, _mm512_permutex2var_epi8(r[2], order, r[3]));
}

template <int kRegisters>
void gather_bytes(const GatherSpec& s, uint8_t* dst, const uint8_t* src, const uint8_t* order, int64_t begin,
                  int64_t end) {
  __mmask64 in[4], out[4], upper[4];
  for (int v = 0; v < 4; ++v) {
    in[v] = s.extent > 64 * v ? first_lanes64(s.extent - 64 * v) : 0;
    out[v] = s.count > 64 * v ? first_lanes64(s.count - 64 * v) : 0;
    upper[v] = _mm512_movepi8_mask(_mm512_load_si512(order + 64 * v));
  }
  const int64_t stores = (s.count + 63) / 64;
  for (int64_t o = begin; o < end; ++o) {
    __m512i r[4];
    for (int v = 0; v < kRegisters; ++v) r[v] = _mm512_maskz_loadu_epi8(in[v], src + o * s.extent + 64 * v);
    for (int64_t v = 0; v < stores; ++v)
      _mm512_mask_storeu_epi8(dst + o * s.count + 64 * v, out[v],
                              pick<kRegisters>(r, _mm512_load_si512(order + 64 * v), upper[v]));
  }
}

}  // namespace

void gather_bytes_avx512vnni(const GatherSpec& s, uint8_t* dst, const uint8_t* src, const uint8_t* order,
                             int64_t begin, int64_t end) {
  if (s.extent <= 64) return gather_bytes<1>(s, dst, src, order, begin, end);
  if (s.extent <= 128) return gather_bytes<2>(s, dst, src, order, begin, end);
  gather_bytes<4>(s, dst, src, order, begin, end);
}

}  // namespace narrow::kernels
