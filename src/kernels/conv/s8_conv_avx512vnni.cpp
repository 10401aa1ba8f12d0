// Up to 14 x 32 sums of bytes in registers:  C[m,32] = start + A[m,K] x B[K,32], vpdpbusd (u8 x s8, does not
// saturate)
//
// 28 accumulators, two registers of B, one of A: four bytes of A are broadcast per row and step.
// s8 sources become u8 by flipping the top bit, which adds 128; the packed bias knows (s8_layout.h).
#include "kernels/conv/load_four.h"
#include "kernels/conv/s8_finish_avx512.h"
#include "kernels/conv/walk_loop.h"

namespace narrow::kernels {
namespace {

template <bool kSigned, int kM>
void s8_dots(const S8Args& g, const uint8_t* a, const int8_t* b, const int32_t* start, int32_t* c) {
  const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x80));
  __m512i sum0[kM], sum1[kM];
#pragma GCC unroll 14
  for (int m = 0; m < kM; ++m) sum0[m] = _mm512_loadu_si512(start), sum1[m] = _mm512_loadu_si512(start + 16);
  for (int64_t segment = 0; segment < g.segments; ++segment) {
    const uint8_t* run = a + g.offsets[segment];
    for (int64_t k = 0; k < g.segment_bytes; k += 4, b += 128) {
      const __m512i b0 = _mm512_load_si512(b), b1 = _mm512_load_si512(b + 64);
#pragma GCC unroll 14
      for (int m = 0; m < kM; ++m) {
        __m512i x = _mm512_set1_epi32(load_four(run + k + m * g.a_stride));
        if constexpr (kSigned) x = _mm512_xor_si512(x, flip);
        sum0[m] = _mm512_dpbusd_epi32(sum0[m], x, b0);
        sum1[m] = _mm512_dpbusd_epi32(sum1[m], x, b1);
      }
    }
  }
#pragma GCC unroll 14
  for (int m = 0; m < kM; ++m) {
    _mm512_store_si512(c + m * 32, sum0[m]);
    _mm512_store_si512(c + m * 32 + 16, sum1[m]);
  }
}

template <bool kSigned>
void s8_dots_of(const S8Args& g, const uint8_t* a, const int8_t* b, const int32_t* start, int64_t rows,
                int32_t* c) {
  if (rows > 7)
    s8_dots<kSigned, 14>(g, a, b, start, c);
  else if (rows > 4)
    s8_dots<kSigned, 7>(g, a, b, start, c);
  else if (rows > 1)
    s8_dots<kSigned, 4>(g, a, b, start, c);
  else
    s8_dots<kSigned, 1>(g, a, b, start, c);
}

struct Vnni {
  using Args = S8Args;
  using Sum = int32_t;
  static constexpr int64_t kRows = 14, kColumns = 32;
  static int64_t cover(int64_t n) { return n > 7 ? 14 : n > 4 ? 7 : n > 1 ? 4 : 1; }
  static void begin(const S8Args&) {}
  static void end() {}
  static void tile(const S8Args& g, const uint8_t* a, const int8_t* b, int64_t at, int64_t rows,
                   const S8Pending& pending, int32_t* c) {
    finish(g, *pending.rows, pending.sums);
    const int32_t* start = g.finish.start + at;
    if (g.is_signed)
      s8_dots_of<true>(g, a, b, start, rows, c);
    else
      s8_dots_of<false>(g, a, b, start, rows, c);
  }
  static void finish(const S8Args& g, const ConvRows& rows, const S8Sums& sums) {
    const auto rest = [&]<class Pairs>() { Pairs(g.finish, MappedRows(rows), sums).rest(); };
    if (g.finish.on_float)
      with_s8_pairs<S8Sum::on_float, MappedRows>(g.finish, sums.columns, rest);
    else if (g.finish.stays_in_bytes)
      with_s8_pairs<S8Sum::whole, MappedRows>(g.finish, sums.columns, rest);
    else
      s8_finish_any<false>(g.finish, rows, sums);
  }
};

}  // namespace

void s8_task_avx512vnni(const S8Args& args, const ConvRange& range) { walk_task<Vnni>(args, range); }

}  // namespace narrow::kernels
