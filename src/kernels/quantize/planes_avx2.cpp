// 16 pixels at a time: each 16 bytes of the result are those of all planes, shuffled to where they belong.
#include <immintrin.h>

#include "kernels/quantize/planes.h"

namespace narrow::kernels {
namespace {

constexpr int64_t kAtOnce = 16;

template <int kChannels>
void to_pixels(const uint8_t* planes, int64_t count, uint8_t* dst) {
  alignas(16) uint8_t from[kChannels][kChannels][kAtOnce];  // [16 bytes of the result][plane]
  for (int64_t at = 0; at < kChannels * kAtOnce; ++at)
    for (int64_t plane = 0; plane < kChannels; ++plane)
      from[at / kAtOnce][plane][at % kAtOnce] =
          static_cast<uint8_t>(at % kChannels == plane ? at / kChannels : 0x80);  // 0x80: a zero
  int64_t i = 0;
  for (; i + kAtOnce <= count; i += kAtOnce) {
    __m128i plane[kChannels];
#pragma GCC unroll 4
    for (int c = 0; c < kChannels; ++c)
      plane[c] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(planes + c * count + i));
#pragma GCC unroll 4
    for (int part = 0; part < kChannels; ++part) {
      __m128i pixels = _mm_setzero_si128();
#pragma GCC unroll 4
      for (int c = 0; c < kChannels; ++c)
        pixels = _mm_or_si128(
            pixels,
            _mm_shuffle_epi8(plane[c], _mm_load_si128(reinterpret_cast<const __m128i*>(from[part][c]))));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + i * kChannels + part * kAtOnce), pixels);
    }
  }
  for (; i < count; ++i)
    for (int64_t c = 0; c < kChannels; ++c) dst[i * kChannels + c] = planes[c * count + i];
}

}  // namespace

void planes_to_pixels_avx2(const uint8_t* planes, int64_t channels, int64_t count, uint8_t* dst) {
  if (channels == 2) return to_pixels<2>(planes, count, dst);
  channels == 3 ? to_pixels<3>(planes, count, dst) : to_pixels<4>(planes, count, dst);
}

}  // namespace narrow::kernels
