// Words of a pixel in another order: 16 at a time out of up to four windows of 16 neighbours, as a shuffle of
// groups of channels wants them.
#include "kernels/lanes/lanes_avx512.h"
#include "kernels/layout/gather.h"

namespace narrow::kernels {
namespace {

NARROW_LANE_INLINE __m512i load(const uint32_t* src, int64_t at) { return _mm512_loadu_si512(src + at); }

void gather_words(const GatherSpec& s, uint32_t* dst, const uint32_t* src, const WordWindows* windows,
                  int64_t begin, int64_t end) {
  const int64_t vectors = (s.count + 15) / 16;
  for (int64_t o = begin; o < end; ++o, src += s.extent, dst += s.count)
    for (int64_t v = 0; v < vectors; ++v) {
      const WordWindows& w = windows[v];
      const __m512i lanes = _mm512_load_si512(w.lane);
      __m512i x = _mm512_permutex2var_epi32(load(src, w.begin[0]), lanes, load(src, w.begin[1]));
      if (w.upper != 0)
        x = _mm512_mask_mov_epi32(
            x, w.upper, _mm512_permutex2var_epi32(load(src, w.begin[2]), lanes, load(src, w.begin[3])));
      _mm512_mask_storeu_epi32(dst + v * 16, first_lanes16(s.count - v * 16), x);
    }
}

}  // namespace

void gather_words_avx512(const GatherSpec& spec, void* dst, const void* src, const WordWindows* windows,
                         int64_t begin, int64_t end) {
  gather_words(spec, static_cast<uint32_t*>(dst) + begin * spec.count,
               static_cast<const uint32_t*>(src) + begin * spec.extent, windows, begin, end);
}

}  // namespace narrow::kernels
