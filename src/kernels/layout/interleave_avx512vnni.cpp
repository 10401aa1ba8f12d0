// interleave.h: one permutation of two registers for some pixels of all rows.
#include "kernels/math/simd_avx512.h"

#include "kernels/layout/interleave.h"

namespace narrow::kernels {
namespace {

__mmask32 first_lanes32(int64_t n) { return n >= 32 ? ~__mmask32{0} : (__mmask32{1} << n) - 1U; }

/// Row i in bytes 32 i of two registers, and which of these bytes go where.
template <int kCount>
struct Rows {
  const uint8_t* at[4];
  int64_t step[4];  // 1, or 0 for a row of padding
  __m512i pick;

  __m256i load(int i, int64_t offset, __mmask32 live) const {
    if (i >= kCount) return _mm256_setzero_si256();
    return _mm256_maskz_loadu_epi8(live, at[i] + offset * step[i]);
  }
  __m256i load(int i, int64_t offset) const {
    if (i >= kCount) return _mm256_setzero_si256();
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at[i] + offset * step[i]));
  }
  __m512i picked(__m256i r0, __m256i r1, __m256i r2, __m256i r3) const {
    const __m512i first = _mm512_inserti64x4(_mm512_castsi256_si512(r0), r1, 1);
    return _mm512_permutex2var_epi8(first, pick, _mm512_inserti64x4(_mm512_castsi256_si512(r2), r3, 1));
  }
};

template <int kCount>
void interleave(const Interleave& plan, const uint8_t* const* rows, int64_t pixels, uint8_t fill,
                uint8_t* to) {
  const int64_t c = plan.c, pixel = kCount * c, at_once = plan.at_once, bytes = at_once * pixel;
  alignas(32) uint8_t padding[32];
  for (uint8_t& b : padding) b = fill;
  Rows<kCount> r{};
  for (int i = 0; i < kCount; ++i) {
    r.at[i] = rows[i] == nullptr ? padding : rows[i];
    r.step[i] = rows[i] == nullptr ? 0 : 1;
  }
  r.pick = _mm512_loadu_si512(plan.order.data());
  int64_t x = 0;
  // Whole registers: what is written too far is written again.
  for (; (pixels - x) * c >= 32 && (pixels - x) * pixel >= 64; x += at_once)
    _mm512_storeu_si512(to + x * pixel,
                        r.picked(r.load(0, x * c), r.load(1, x * c), r.load(2, x * c), r.load(3, x * c)));
  for (; x < pixels; x += at_once) {
    const int64_t left = (pixels - x) * pixel, live = left < bytes ? left : bytes;
    const __mmask32 in = first_lanes32((pixels - x) * c);
    _mm512_mask_storeu_epi8(
        to + x * pixel, live >= 64 ? ~__mmask64{0} : (__mmask64{1} << live) - 1,
        r.picked(r.load(0, x * c, in), r.load(1, x * c, in), r.load(2, x * c, in), r.load(3, x * c, in)));
  }
}

}  // namespace

void interleave_avx512vnni(const Interleave& plan, const uint8_t* const* rows, int64_t pixels, uint8_t fill,
                           uint8_t* to) {
  if (plan.count == 3)
    interleave<3>(plan, rows, pixels, fill, to);
  else
    interleave<4>(plan, rows, pixels, fill, to);
}

}  // namespace narrow::kernels
