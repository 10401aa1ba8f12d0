// scale_int8_avx512vnni.cpp on half the width. What takes a channel out is vpmaddubsw, which cannot saturate
// where three of four weights are zero. Chunks that are not full go through a buffer.
//
// Limit: 28 vector instructions of arithmetic and 9 of packing for 32 bytes on three ports, 12 cycles: 2.6
// bytes in and out per cycle.
#include <immintrin.h>

#include "kernels/conv/narrow_inline.h"
#include "kernels/conv/scale_int8.h"

namespace narrow::kernels {
namespace {

constexpr int64_t kPixels = 16, kChunk = kScaleInt8ChunkAvx2;

struct Chunk {
  __m256i weights[4], bias[4];
  __m256 multiplier[4];
};

NARROW_INLINE __m256i load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

NARROW_INLINE Chunk load_chunk(const ScaleInt8Plan& p, int64_t channel) {
  Chunk c;
  NARROW_UNROLL(4)
  for (int v = 0; v < 4; ++v) {
    c.weights[v] = load(static_cast<const int8_t*>(p.weights) + channel * 4 + v * kChunk);
    c.bias[v] = load(p.bias + channel + v * 8);
    c.multiplier[v] = _mm256_loadu_ps(p.multiplier + channel + v * 8);
  }
  return c;
}

struct Store {
  __m256i zero_point, low, high;
};

/// clamp(round(sum * multiplier) + zero_point). Saturation to 16 bits is harmless: the bounds are far inside.
template <bool kSignedOut>
NARROW_INLINE __m256i requantize(const Chunk& c, const Store& store, __m256i x) {
  const __m256 limit = _mm256_set1_ps(16777216.0F);
  const __m256i order = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));  // four of a lane of each v
  __m256i q[4];
  NARROW_UNROLL(4)
  for (int v = 0; v < 4; ++v) {
    const __m256i product = _mm256_madd_epi16(_mm256_maddubs_epi16(x, c.weights[v]), _mm256_set1_epi16(1));
    const __m256 sum = _mm256_cvtepi32_ps(_mm256_add_epi32(c.bias[v], product));
    q[v] = _mm256_cvtps_epi32(_mm256_min_ps(limit, _mm256_mul_ps(sum, c.multiplier[v])));
  }
  const __m256i low = _mm256_adds_epi16(_mm256_packs_epi32(q[0], q[1]), store.zero_point);
  const __m256i high = _mm256_adds_epi16(_mm256_packs_epi32(q[2], q[3]), store.zero_point);
  if (kSignedOut) {
    const __m256i bytes = _mm256_shuffle_epi8(_mm256_packs_epi16(low, high), order);
    return _mm256_min_epi8(_mm256_max_epi8(bytes, store.low), store.high);
  }
  const __m256i bytes = _mm256_shuffle_epi8(_mm256_packus_epi16(low, high), order);
  return _mm256_min_epu8(_mm256_max_epu8(bytes, store.low), store.high);
}

template <bool kSignedIn, bool kSignedOut>
void scale(const ScaleInt8Plan& plan, const uint8_t* src, uint8_t* dst, int64_t begin, int64_t end) {
  const ScaleInt8Plan p = plan;  // a copy, which stores to dst cannot change
  const Store store = {_mm256_set1_epi16(static_cast<int16_t>(p.zero_point)),
                       _mm256_set1_epi8(static_cast<char>(p.low)),
                       _mm256_set1_epi8(static_cast<char>(p.high))};
  const __m256i flip = _mm256_set1_epi8(static_cast<char>(0x80));
  const auto scaled = [&](const Chunk& c, const uint8_t* from, uint8_t* to) __attribute__((always_inline)) {
    const __m256i x = load(from);
    const __m256i y = requantize<kSignedOut>(c, store, kSignedIn ? _mm256_xor_si256(x, flip) : x);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), y);
  };
  for (int64_t block = begin; block < end; block += kPixels) {
    const int64_t stop = block + kPixels < end ? block + kPixels : end;
    for (int64_t channel = 0; channel < p.channels; channel += kChunk) {
      const Chunk c = load_chunk(p, channel);
      const int64_t left = p.channels - channel;
      const uint8_t* from = src + channel;
      uint8_t* to = dst + channel;
      if (left >= kChunk) {
        for (int64_t i = block; i < stop; ++i) scaled(c, from + i * p.src_pixel, to + i * p.dst_pixel);
        continue;
      }
      uint8_t buffer[kChunk] = {};
      for (int64_t i = block; i < stop; ++i) {
        __builtin_memcpy(buffer, from + i * p.src_pixel, static_cast<size_t>(left));
        scaled(c, buffer, buffer);
        __builtin_memcpy(to + i * p.dst_pixel, buffer, static_cast<size_t>(left));
      }
    }
  }
}

}  // namespace

void scale_int8_avx2(const ScaleInt8Plan& p, const uint8_t* src, uint8_t* dst, int64_t begin, int64_t end) {
  const bool in = p.src_type == DType::s8, out = p.dst_type == DType::s8;
  if (in && out) return scale<true, true>(p, src, dst, begin, end);
  if (in) return scale<true, false>(p, src, dst, begin, end);
  if (out) return scale<false, true>(p, src, dst, begin, end);
  scale<false, false>(p, src, dst, begin, end);
}

}  // namespace narrow::kernels
