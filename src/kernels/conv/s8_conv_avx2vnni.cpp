// 6 x 16 sums of bytes in registers:  C[6,16] = start + A[6,K] x B[K,16], vpdpbusd of AVX-VNNI (u8 x s8, does
// not saturate)
//
// Twelve accumulators, two registers of B, one of A: four bytes of A are broadcast per row and step.
// s8 sources become u8 by flipping the top bit, which adds 128; the packed bias knows (s8_layout.h).
#include "kernels/conv/load_four.h"
#include "kernels/conv/s8_lanes_avx2.h"
#include "kernels/conv/walk_loop.h"

namespace narrow::kernels {
namespace {

template <bool kSigned, int kM>
void s8_dots(const S8Args& g, const uint8_t* a, const int8_t* b, const int32_t* start, int32_t* c) {
  const __m256i flip = _mm256_set1_epi8(static_cast<char>(0x80));
  __m256i sum0[kM], sum1[kM];
#pragma GCC unroll 6
  for (int m = 0; m < kM; ++m) {
    sum0[m] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(start));
    sum1[m] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(start + 8));
  }
  for (int64_t segment = 0; segment < g.segments; ++segment) {
    const uint8_t* run = a + g.offsets[segment];
    for (int64_t k = 0; k < g.segment_bytes; k += 4, b += 64) {
      const __m256i b0 = _mm256_load_si256(reinterpret_cast<const __m256i*>(b)),
                    b1 = _mm256_load_si256(reinterpret_cast<const __m256i*>(b + 32));
#pragma GCC unroll 6
      for (int m = 0; m < kM; ++m) {
        __m256i x = _mm256_set1_epi32(load_four(run + k + m * g.a_stride));
        if constexpr (kSigned) x = _mm256_xor_si256(x, flip);
        sum0[m] = _mm256_dpbusd_avx_epi32(sum0[m], x, b0);
        sum1[m] = _mm256_dpbusd_avx_epi32(sum1[m], x, b1);
      }
    }
  }
#pragma GCC unroll 6
  for (int m = 0; m < kM; ++m) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(c + m * 16), sum0[m]);
    _mm256_store_si256(reinterpret_cast<__m256i*>(c + m * 16 + 8), sum1[m]);
  }
}

struct Vnni256 {
  template <int kM>
  static void run(const S8Args& g, const uint8_t* a, const int8_t* b, const int32_t* start, int32_t* c) {
    if (g.is_signed)
      s8_dots<true, kM>(g, a, b, start, c);
    else
      s8_dots<false, kM>(g, a, b, start, c);
  }
};

}  // namespace

void s8_task_avx2vnni(const S8Args& args, const ConvRange& range) {
  walk_task<S8Walk256<Vnni256>>(args, range);
}

}  // namespace narrow::kernels
