// Up to 14 x 32 sums of bf16 products in registers:  C[m,32] = A[m,K] x B[K,32], vdpbf16ps
//
// 28 accumulators, two registers of B, one of A: two numbers of A are broadcast per row and pair of K.
// Weights lie as AMX wants them: the sixteen columns on the right follow a step's pairs of the sixteen on the
// left. Each sum takes K in one order, so no result depends on how many rows its block has.
#include "kernels/conv/bf16_finish_avx512bf16.h"
#include "kernels/conv/load_four.h"
#include "kernels/conv/walk_loop.h"

namespace narrow::kernels {
namespace {

/// Bytes of B to fetch ahead. Halves of steps in turns are two streams with gaps, which the processor does
/// not foresee: weights from L3 came late (3x3 on 7 x 7 x 512, one thread, 830 -> 600 us; half as far 650).
constexpr int64_t kAhead = 4096;

template <int kM>
void bf16_dots(const Bf16Args& g, const uint8_t* a, const int8_t* b, float* c) {
  const int64_t right = g.step_bytes * 16;
  __m512 sum0[kM], sum1[kM];
#pragma GCC unroll 14
  for (int m = 0; m < kM; ++m) sum0[m] = sum1[m] = _mm512_setzero_ps();
  for (int64_t segment = 0; segment < g.segments; ++segment) {
    const uint8_t* run = a + g.offsets[segment];
    for (const uint8_t* end = run + g.segment_bytes; run < end; b += right) {
      for (const uint8_t* step_end = run + g.step_bytes; run < step_end; run += 4, b += 64) {
        const auto b0 = reinterpret_cast<__m512bh>(_mm512_load_si512(b)),
                   b1 = reinterpret_cast<__m512bh>(_mm512_load_si512(b + right));
        _mm_prefetch(b + kAhead, _MM_HINT_T0);
        _mm_prefetch(b + right + kAhead, _MM_HINT_T0);
#pragma GCC unroll 14
        for (int m = 0; m < kM; ++m) {
          const auto x = reinterpret_cast<__m512bh>(_mm512_set1_epi32(load_four(run + m * g.a_stride)));
          sum0[m] = _mm512_dpbf16_ps(sum0[m], x, b0);
          sum1[m] = _mm512_dpbf16_ps(sum1[m], x, b1);
        }
      }
    }
  }
#pragma GCC unroll 14
  for (int m = 0; m < kM; ++m) {
    _mm512_store_ps(c + m * 32, sum0[m]);
    _mm512_store_ps(c + m * 32 + 16, sum1[m]);
  }
}

struct Bf16Dots {
  using Args = Bf16Args;
  using Sum = float;
  static constexpr int64_t kRows = 14, kColumns = 32;
  static int64_t cover(int64_t n) { return n > 7 ? 14 : n > 4 ? 7 : n > 1 ? 4 : 1; }
  static void begin(const Bf16Args&) {}
  static void end() {}
  static void tile(const Bf16Args& g, const uint8_t* a, const int8_t* b, int64_t /*at*/, int64_t rows,
                   const ConvPending<float>& pending, float* c) {
    finish(g, *pending.rows, pending.sums);
    if (rows > 7)
      bf16_dots<14>(g, a, b, c);
    else if (rows > 4)
      bf16_dots<7>(g, a, b, c);
    else if (rows > 1)
      bf16_dots<4>(g, a, b, c);
    else
      bf16_dots<1>(g, a, b, c);
  }
  static void finish(const Bf16Args& g, const ConvRows& rows, const Bf16Sums& sums) {
    if (bf16_stays_half(g.finish))
      with_half_pairs(g.finish, sums.columns, [&]<class Pairs>() { Pairs(g.finish, rows, sums).rest(); });
    else
      bf16_finish_any(g.finish, rows, sums);
  }
};

}  // namespace

void bf16_task_avx512bf16(const Bf16Args& args, const ConvRange& range) { walk_task<Bf16Dots>(args, range); }

}  // namespace narrow::kernels
