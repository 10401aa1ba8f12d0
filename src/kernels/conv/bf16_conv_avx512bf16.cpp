// Up to 14 x 32 sums of bf16 products in registers:  C[m,32] = A[m,K] x B[K,32], vdpbf16ps
//
// 28 accumulators, two registers of B, one of A: two numbers of A are broadcast per row and pair of K.
// Weights lie as AMX wants them: the sixteen columns on the right follow a step's pairs of the sixteen on the
// left. Each sum takes K in one order, so no result depends on how many rows its block has. Sums that leave
// in 16 bits leave from their registers.
#include "kernels/conv/bf16_finish_avx512bf16.h"
#include "kernels/conv/load_four.h"
#include "kernels/conv/walk_loop.h"

namespace narrow::kernels {
namespace {

/// Bytes of B to fetch ahead. Halves of steps in turns are two streams with gaps, which the processor does
/// not foresee: weights from L3 came late (3x3 on 7 x 7 x 512, one thread, 830 -> 600 us; half as far 650).
constexpr int64_t kAhead = 4096;

/// kV registers of columns: one where the other half of a panel is padding.
template <int kM, int kV>
struct Sums {
  __m512 of[kM][kV];

  NARROW_BF16_INLINE void dots(const Bf16Args& g, const uint8_t* a, const int8_t* b) {
    const int64_t right = g.step_bytes * 16;
#pragma GCC unroll 28
    for (int i = 0; i < kM * kV; ++i) of[i / kV][i % kV] = _mm512_setzero_ps();
    for (int64_t segment = 0; segment < g.segments; ++segment) {
      // The walk's numbers are read anew: GCC 12 would keep them in vector registers, where they wait for the
      // products before (28 x 28, 16 -> 96 channels, one thread, 11.7 us instead of 7.3).
      asm("" ::: "memory");
      const uint8_t* run = a + g.offsets[segment];
      for (const uint8_t* end = run + g.segment_bytes; run < end; b += right) {
        for (const uint8_t* step_end = run + g.step_bytes; run < step_end; run += 4, b += 64) {
          const auto b0 = reinterpret_cast<__m512bh>(_mm512_load_si512(b)),
                     b1 = kV > 1 ? reinterpret_cast<__m512bh>(_mm512_load_si512(b + right)) : b0;
          _mm_prefetch(b + kAhead, _MM_HINT_T0);
          if constexpr (kV > 1) _mm_prefetch(b + right + kAhead, _MM_HINT_T0);
#pragma GCC unroll 14
          for (int m = 0; m < kM; ++m) {
            const auto x = reinterpret_cast<__m512bh>(_mm512_set1_epi32(load_four(run + m * g.a_stride)));
            of[m][0] = _mm512_dpbf16_ps(of[m][0], x, b0);
            if constexpr (kV > 1) of[m][1] = _mm512_dpbf16_ps(of[m][1], x, b1);
          }
        }
      }
    }
  }

  NARROW_BF16_INLINE void store(float* c) const {
#pragma GCC unroll 28
    for (int i = 0; i < kM * kV; ++i) _mm512_store_ps(c + i / kV * 32 + i % kV * 16, of[i / kV][i % kV]);
  }

  /// Row by row as `rows` says, all of them.
  template <class Pairs>
  NARROW_BF16_INLINE void finish(const Bf16Finish& f, const ConvRows& rows, const Bf16Sums& place) const {
    Pairs pairs(f, rows, place);
#pragma GCC unroll 7
    for (int m = 0; m < kM; m += 2) {
      const int next = m + 1 < kM ? m + 1 : m;
      pairs.template finish_sums<(kV > 1)>(rows.element[m], rows.element[next], {of[m][0], of[m][kV - 1]},
                                           {of[next][0], of[next][kV - 1]});
    }
  }
};

struct Bf16Dots {
  using Args = Bf16Args;
  using Sum = float;
  static constexpr int64_t kRows = 14, kColumns = 32;
  static constexpr bool kAtOnce = true;
  static int64_t cover(int64_t n) { return n > 7 ? 14 : n > 4 ? 7 : n > 1 ? 4 : 1; }
  static void begin(const Bf16Args&) {}
  static void end() {}
  static void tile(const Bf16Args& g, const uint8_t* a, const int8_t* b, int64_t /*at*/, int64_t rows,
                   const ConvPending<float>& block, float* c) {
    if (rows > 7)
      tile_of<14>(g, a, b, block, c);
    else if (rows > 4)
      tile_of<7>(g, a, b, block, c);
    else if (rows > 1)
      tile_of<4>(g, a, b, block, c);
    else
      tile_of<1>(g, a, b, block, c);
  }

 private:
  template <int kM>
  static void tile_of(const Bf16Args& g, const uint8_t* a, const int8_t* b, const ConvPending<float>& block,
                      float* c) {
    block.sums.columns <= 16 ? tile_of<kM, 1>(g, a, b, block, c) : tile_of<kM, 2>(g, a, b, block, c);
  }

  template <int kM, int kV>
  static void tile_of(const Bf16Args& g, const uint8_t* a, const int8_t* b, const ConvPending<float>& block,
                      float* c) {
    const ConvRows& rows = *block.rows;
    const Bf16Sums& place = block.sums;
    Sums<kM, kV> sums;
    sums.dots(g, a, b);
    const bool stays_half = bf16_stays_half(g.finish);
    if (stays_half && rows.count == kM) {
      with_half_pairs(
          g.finish, place.columns, [&]<class Pairs>() __attribute__((always_inline)) {
            sums.template finish<Pairs>(g.finish, rows, place);
          });
      return;
    }
    sums.store(c);
    if (stays_half)
      with_half_pairs(g.finish, place.columns, [&]<class Pairs>() { Pairs(g.finish, rows, place).rest(); });
    else
      bf16_finish_any(g.finish, rows, place);
  }
};

}  // namespace

void bf16_task_avx512bf16(const Bf16Args& args, const ConvRange& range) { walk_task<Bf16Dots>(args, range); }

}  // namespace narrow::kernels
