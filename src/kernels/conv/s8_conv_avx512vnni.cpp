// Up to 14 x 32 sums of bytes in registers:  C[m,32] = start + A[m,K] x B[K,32], vpdpbusd (u8 x s8, does not
// saturate)
//
// 28 accumulators, two registers of B, one of A: four bytes of A are broadcast per row and step.
// s8 sources become u8 by flipping the top bit, which adds 128; the packed bias knows (s8_layout.h). Sums
// that are floats already leave from their registers.
#include "kernels/conv/load_four.h"
#include "kernels/conv/s8_finish_avx512.h"
#include "kernels/conv/walk_loop.h"

namespace narrow::kernels {
namespace {

/// kV registers of columns: one where the other half of a panel is padding.
template <bool kSigned, int kM, int kV>
struct Sums {
  __m512i of[kM][kV];

  NARROW_LANE_INLINE void dots(const S8Args& g, const uint8_t* a, const int8_t* b, const int32_t* start) {
    const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x80));
    const __m512i start0 = _mm512_loadu_si512(start), start1 = _mm512_loadu_si512(start + 16);
#pragma GCC unroll 28
    for (int i = 0; i < kM * kV; ++i) of[i / kV][i % kV] = i % kV == 0 ? start0 : start1;
    for (int64_t segment = 0; segment < g.segments; ++segment) {
      const uint8_t* run = a + g.offsets[segment];
      for (int64_t k = 0; k < g.segment_bytes; k += 4, b += 128) {
        const __m512i b0 = _mm512_load_si512(b), b1 = kV > 1 ? _mm512_load_si512(b + 64) : b0;
#pragma GCC unroll 14
        for (int m = 0; m < kM; ++m) {
          __m512i x = _mm512_set1_epi32(load_four(run + k + m * g.a_stride));
          if constexpr (kSigned) x = _mm512_xor_si512(x, flip);
          of[m][0] = _mm512_dpbusd_epi32(of[m][0], x, b0);
          if constexpr (kV > 1) of[m][1] = _mm512_dpbusd_epi32(of[m][1], x, b1);
        }
      }
    }
  }

  NARROW_LANE_INLINE void store(int32_t* c) const {
#pragma GCC unroll 28
    for (int i = 0; i < kM * kV; ++i) _mm512_store_si512(c + i / kV * 32 + i % kV * 16, of[i / kV][i % kV]);
  }

  /// Row by row as `rows` says, all of them.
  template <class Pairs>
  NARROW_LANE_INLINE void finish(const S8Finish& f, const ConvRows& rows, const S8Sums& sums) const {
    Pairs pairs(f, MappedRows(rows), sums);
#pragma GCC unroll 7
    for (int m = 0; m < kM; m += 2) {
      const int next = m + 1 < kM ? m + 1 : m;
      pairs.template finish_sums<(kV > 1)>(rows.element[m], rows.element[next], {of[m][0], of[m][kV - 1]},
                                           {of[next][0], of[next][kV - 1]});
    }
  }
};

struct Vnni {
  using Args = S8Args;
  using Sum = int32_t;
  static constexpr int64_t kRows = 14, kColumns = 32;
  static constexpr bool kAtOnce = true;
  static int64_t cover(int64_t n) { return n > 7 ? 14 : n > 4 ? 7 : n > 1 ? 4 : 1; }
  static void begin(const S8Args&) {}
  static void end() {}
  static void tile(const S8Args& g, const uint8_t* a, const int8_t* b, int64_t /*at*/, int64_t rows,
                   const S8Pending& block, int32_t* c) {
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
  static void tile_of(const S8Args& g, const uint8_t* a, const int8_t* b, const S8Pending& block,
                      int32_t* c) {
    const bool half = block.sums.columns <= 16;
    if (g.is_signed)
      half ? tile_of<true, kM, 1>(g, a, b, block, c) : tile_of<true, kM, 2>(g, a, b, block, c);
    else
      half ? tile_of<false, kM, 1>(g, a, b, block, c) : tile_of<false, kM, 2>(g, a, b, block, c);
  }

  template <bool kSigned, int kM, int kV>
  static void tile_of(const S8Args& g, const uint8_t* a, const int8_t* b, const S8Pending& block,
                      int32_t* c) {
    const ConvRows& rows = *block.rows;
    const S8Sums& place = block.sums;
    Sums<kSigned, kM, kV> sums;
    sums.dots(g, a, b, g.finish.start + place.at);
    if (g.finish.on_float && rows.count == kM) {
      with_s8_pairs<S8Sum::on_float, MappedRows>(
          g.finish, place.columns, [&]<class Pairs>() __attribute__((always_inline)) {
            sums.template finish<Pairs>(g.finish, rows, place);
          });
      return;
    }
    sums.store(c);
    const auto rest = [&]<class Pairs>() { Pairs(g.finish, MappedRows(rows), place).rest(); };
    if (g.finish.on_float)
      with_s8_pairs<S8Sum::on_float, MappedRows>(g.finish, place.columns, rest);
    else if (g.finish.stays_in_bytes)
      with_s8_pairs<S8Sum::whole, MappedRows>(g.finish, place.columns, rest);
    else
      s8_finish_any<false>(g.finish, rows, place);
  }
};

}  // namespace

void s8_task_avx512vnni(const S8Args& args, const ConvRange& range) { walk_task<Vnni>(args, range); }

}  // namespace narrow::kernels
