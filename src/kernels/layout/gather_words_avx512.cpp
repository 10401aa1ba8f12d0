// Halves and words of a pixel in another order: a register at a time out of up to four windows of neighbours,
// as a shuffle of groups of channels wants them.
#include "kernels/lanes/lanes_avx512.h"
#include "kernels/layout/gather.h"

namespace narrow::kernels {
namespace {

struct Halves {
  using Element = uint16_t;
  using Windows = HalfWindows;
  NARROW_LANE_INLINE static __m512i pick(__m512i a, __m512i lanes, __m512i b) {
    return _mm512_permutex2var_epi16(a, lanes, b);
  }
  NARROW_LANE_INLINE static __m512i either(__m512i x, uint32_t upper, __m512i y) {
    return _mm512_mask_mov_epi16(x, upper, y);
  }
  NARROW_LANE_INLINE static void store(Element* dst, int64_t n, __m512i x) {
    _mm512_mask_storeu_epi16(dst, n >= 32 ? 0xffffffffU : (1U << n) - 1U, x);
  }
};

struct Words {
  using Element = uint32_t;
  using Windows = WordWindows;
  NARROW_LANE_INLINE static __m512i pick(__m512i a, __m512i lanes, __m512i b) {
    return _mm512_permutex2var_epi32(a, lanes, b);
  }
  NARROW_LANE_INLINE static __m512i either(__m512i x, uint32_t upper, __m512i y) {
    return _mm512_mask_mov_epi32(x, static_cast<__mmask16>(upper), y);
  }
  NARROW_LANE_INLINE static void store(Element* dst, int64_t n, __m512i x) {
    _mm512_mask_storeu_epi32(dst, first_lanes16(n), x);
  }
};

template <class E>
void gather(const GatherSpec& s, void* to, const void* from, const typename E::Windows* windows,
            int64_t begin, int64_t end) {
  using Element = typename E::Element;
  constexpr int64_t kLanes = E::Windows::kLanes;
  auto* dst = static_cast<Element*>(to) + begin * s.count;
  const auto* src = static_cast<const Element*>(from) + begin * s.extent;
  const int64_t vectors = (s.count + kLanes - 1) / kLanes;
  for (int64_t o = begin; o < end; ++o, src += s.extent, dst += s.count)
    for (int64_t v = 0; v < vectors; ++v) {
      const typename E::Windows& w = windows[v];
      const auto window = [&](int i) { return _mm512_loadu_si512(src + w.begin[i]); };
      const __m512i lanes = _mm512_load_si512(w.lane);
      __m512i x = E::pick(window(0), lanes, window(1));
      if (w.upper != 0) x = E::either(x, w.upper, E::pick(window(2), lanes, window(3)));
      E::store(dst + v * kLanes, s.count - v * kLanes, x);
    }
}

}  // namespace

void gather_halves_avx512(const GatherSpec& spec, void* dst, const void* src, const HalfWindows* windows,
                          int64_t begin, int64_t end) {
  gather<Halves>(spec, dst, src, windows, begin, end);
}

void gather_words_avx512(const GatherSpec& spec, void* dst, const void* src, const WordWindows* windows,
                         int64_t begin, int64_t end) {
  gather<Words>(spec, dst, src, windows, begin, end);
}

}  // namespace narrow::kernels
