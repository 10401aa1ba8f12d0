// One factor, shift and clamp per channel, 64 channels at a time: nothing is unpacked on the way in, and one
// byte shuffle restores the order on the way out.
//
// Limit: 20 vector instructions of arithmetic and 8 of packing for 64 bytes on two ports, 14 cycles: 4.6
// bytes in and out per cycle.
#include "kernels/conv/narrow_inline.h"
#include "kernels/conv/scale_int8.h"
#include "kernels/math/simd_avx512.h"

namespace narrow::kernels {
namespace {

constexpr int64_t kPixels = 16;  // per chunk, while its constants lie in registers

struct Chunk {
  __m512i weights[4], bias[4];
  __m512 multiplier[4];
};

NARROW_INLINE Chunk load_chunk(const ScaleInt8Plan& p, int64_t channel) {
  Chunk c;
  NARROW_UNROLL(4)
  for (int v = 0; v < 4; ++v) {
    c.weights[v] = _mm512_loadu_si512(static_cast<const int8_t*>(p.weights) + channel * 4 + v * 64);
    c.bias[v] = _mm512_loadu_si512(p.bias + channel + v * 16);
    c.multiplier[v] = _mm512_loadu_ps(p.multiplier + channel + v * 16);
  }
  return c;
}

/// [q0 l0..3, q1 l0..3, q2 l0..3, q3 l0..3] of a 128-bit lane to [q0 l0, q1 l0, q2 l0, q3 l0, q0 l1, ...].
NARROW_INLINE __m512i channels_in_order(__m512i packed) {
  const __m512i order =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  return _mm512_shuffle_epi8(packed, order);
}

struct Store {
  __m512i zero_point, low, high;
};

/// clamp(round(sum * multiplier) + zero_point). Saturation to 16 bits is harmless: the bounds are far inside.
template <bool kSignedOut>
NARROW_INLINE __m512i requantize(const Chunk& c, const Store& store, __m512i x) {
  const __m512 limit = _mm512_set1_ps(16777216.0F);
  __m512i q[4];
  NARROW_UNROLL(4)
  for (int v = 0; v < 4; ++v) {
    const __m512i sum = _mm512_dpbusd_epi32(c.bias[v], x, c.weights[v]);
    const __m512 r = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), c.multiplier[v]);
    q[v] = _mm512_cvtps_epi32(_mm512_min_ps(limit, r));  // NaN and what is below -2^31 give -2^31
  }
  const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), store.zero_point);
  const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(q[2], q[3]), store.zero_point);
  if (kSignedOut) {
    const __m512i bytes = channels_in_order(_mm512_packs_epi16(low, high));
    return _mm512_min_epi8(_mm512_max_epi8(bytes, store.low), store.high);
  }
  const __m512i bytes = channels_in_order(_mm512_packus_epi16(low, high));
  return _mm512_min_epu8(_mm512_max_epu8(bytes, store.low), store.high);
}

template <bool kSignedIn, bool kSignedOut>
void scale(const ScaleInt8Plan& plan, const uint8_t* src, uint8_t* dst, int64_t begin, int64_t end) {
  const ScaleInt8Plan p = plan;  // a copy, which stores to dst cannot change
  const Store store = {_mm512_set1_epi16(static_cast<int16_t>(p.zero_point)),
                       _mm512_set1_epi8(static_cast<char>(p.low)),
                       _mm512_set1_epi8(static_cast<char>(p.high))};
  const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x80));
  for (int64_t block = begin; block < end; block += kPixels) {
    const int64_t stop = block + kPixels < end ? block + kPixels : end;
    for (int64_t channel = 0; channel < p.channels; channel += kScaleInt8ChunkAvx512) {
      const Chunk c = load_chunk(p, channel);
      const int64_t left = p.channels - channel;
      const __mmask64 live = left >= 64 ? ~__mmask64{0} : (__mmask64{1} << left) - 1;
      const uint8_t* from = src + block * p.src_pixel + channel;
      for (int64_t at = block * p.dst_pixel + channel; at < stop * p.dst_pixel; at += p.dst_pixel) {
        __m512i x = _mm512_maskz_loadu_epi8(live, from);
        if (kSignedIn) x = _mm512_xor_si512(x, flip);
        _mm512_mask_storeu_epi8(dst + at, live, requantize<kSignedOut>(c, store, x));
        from += p.src_pixel;
      }
    }
  }
}

}  // namespace

void scale_int8_avx512vnni(const ScaleInt8Plan& p, const uint8_t* src, uint8_t* dst, int64_t begin,
                           int64_t end) {
  const bool in = p.src_type == DType::s8, out = p.dst_type == DType::s8;
  if (in && out) return scale<true, true>(p, src, dst, begin, end);
  if (in) return scale<true, false>(p, src, dst, begin, end);
  if (out) return scale<false, true>(p, src, dst, begin, end);
  scale<false, false>(p, src, dst, begin, end);
}

}  // namespace narrow::kernels
