// 6 x 16 sums of bytes in registers:  C[6,16] = start + A[6,K] x B[K,16]
//
// vpmaddubsw would saturate at 16 bits, so vpmaddwd sums pairs of 16-bit products exactly. The source is
// widened once, where it is copied; weights are as they come: two of each of eight columns from sixteen
// bytes. Twelve accumulators, two registers of B, one of A, one product.
#include "kernels/conv/load_four.h"
#include "kernels/conv/s8_lanes_avx2.h"
#include "kernels/conv/walk_loop.h"

namespace narrow::kernels {
namespace {

NARROW_INLINE __m256i load_widened(const int8_t* p) {
  return _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(p)));
}

template <int kM>
void s8_dots(const S8Args& g, const uint8_t* a, const int8_t* b, const int32_t* start, int32_t* c) {
  __m256i sum0[kM], sum1[kM];
#pragma GCC unroll 6
  for (int m = 0; m < kM; ++m) {
    sum0[m] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(start));
    sum1[m] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(start + 8));
  }
  for (int64_t segment = 0; segment < g.segments; ++segment) {
    const uint8_t* run = a + g.offsets[segment];
    for (int64_t k = 0; k < g.segment_bytes; k += 4, b += 32) {
      const __m256i b0 = load_widened(b), b1 = load_widened(b + 16);
#pragma GCC unroll 6
      for (int m = 0; m < kM; ++m) {
        const __m256i two = _mm256_set1_epi32(load_four(run + k + m * g.a_stride));
        sum0[m] = _mm256_add_epi32(sum0[m], _mm256_madd_epi16(two, b0));
        sum1[m] = _mm256_add_epi32(sum1[m], _mm256_madd_epi16(two, b1));
      }
    }
  }
#pragma GCC unroll 6
  for (int m = 0; m < kM; ++m) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(c + m * 16), sum0[m]);
    _mm256_store_si256(reinterpret_cast<__m256i*>(c + m * 16 + 8), sum1[m]);
  }
}

struct Exact16 {
  template <int kM>
  static void run(const S8Args& g, const uint8_t* a, const int8_t* b, const int32_t* start, int32_t* c) {
    s8_dots<kM>(g, a, b, start, c);
  }
};

}  // namespace

void s8_widen_avx2(bool is_signed, const uint8_t* from, int64_t count, int16_t* to) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i),
                        is_signed ? _mm256_cvtepi8_epi16(bytes) : _mm256_cvtepu8_epi16(bytes));
  }
  for (; i < count; ++i) to[i] = is_signed ? int16_t{static_cast<int8_t>(from[i])} : int16_t{from[i]};
}

void s8_task_avx2(const S8Args& args, const ConvRange& range) { walk_task<S8Walk256<Exact16>>(args, range); }

}  // namespace narrow::kernels
