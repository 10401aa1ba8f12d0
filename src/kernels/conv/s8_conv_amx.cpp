// 32 x 32 sums of bytes in four AMX tiles:  C[32,32] = A[32,K] x B[K,32]; the bias comes with what happens to
// sums sums
//
//   tmm0 tmm1     rows 0..15     tmm4, tmm5  A: 16 positions x 64 bytes, read where they lie
//   tmm2 tmm3     rows 16..31    tmm6, tmm7  B: 64 bytes of K x 16 columns, packed in fours (s8_layout.h)
//
// Per 64 bytes of K four tile products (64 cycles) stand against four tile loads (4 KiB).
#include "kernels/conv/s8_finish_avx512.h"
#include "kernels/conv/s8_loop.h"

namespace narrow::kernels {
namespace {

struct alignas(64) S8TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
// Static: GCC 12 does not see that _tile_loadconfig reads memory and drops stores to a local one.
alignas(64) const S8TileConfig kConfig;

/// Finishes nothing.
struct S8Nothing {
  template <int kPairs>
  void next() {}
  void rest() {}
};

// Tile numbers are part of the instruction: no function can take them.
#define NARROW_S8_DP(c, a, b) \
  do {                        \
    if constexpr (kSigned)    \
      _tile_dpbssd(c, a, b);  \
    else                      \
      _tile_dpbusd(c, a, b);  \
  } while (false)

/// Two tiles of B and of A against all four sums; after each load some pairs of the tile before are finished.
/// A tile store holds up the front end for 16 cycles and nothing else overlaps with it; loads and products
/// run beside the vector units as long as instructions come fast enough.
///
/// kStream: B passes by once while A is read again for the next panel. Marked so, it does not push A out of
/// L1.
template <bool kSigned, bool kStream, int kPairs, class Finisher>
NARROW_LANE_INLINE void s8_step_32(const uint8_t* a, int64_t stride, const int8_t* b, Finisher& finish) {
  if constexpr (kStream)
    _tile_stream_loadd(6, b, 64);
  else
    _tile_loadd(6, b, 64);
  finish.template next<kPairs>();
  _tile_loadd(4, a, stride);
  finish.template next<kPairs>();
  NARROW_S8_DP(0, 4, 6);
  if constexpr (kStream)
    _tile_stream_loadd(7, b + 1024, 64);
  else
    _tile_loadd(7, b + 1024, 64);
  finish.template next<kPairs>();
  NARROW_S8_DP(1, 4, 7);
  _tile_loadd(5, a + 16 * stride, stride);
  finish.template next<kPairs>();
  NARROW_S8_DP(2, 5, 6);
  NARROW_S8_DP(3, 5, 7);
}

/// A tile store that waits for more than about 32 steps costs about a thousand cycles, any store in between
/// prevents it (docs/performance.md): so B's tile goes to where the sums will.
constexpr int64_t kStepsWithoutStore = 28, kStoreEvery = 16;

/// More than 128 bytes of K, the tile before being finished within the first four steps.
template <bool kSigned, bool kStream, class Finisher>
NARROW_LANE_INLINE void s8_deep_32(const S8Args& g, const uint8_t* a, const int8_t* b, Finisher& finish,
                                   int32_t* c) {
  const bool stores = g.segments * g.segment_bytes > kStepsWithoutStore * 64;
  int64_t step = 0;
  for (int64_t segment = 0; segment < g.segments; ++segment) {
    const uint8_t* run = a + g.offsets[segment];
    for (int64_t k = 0; k < g.segment_bytes; k += 64, b += 2048, ++step) {
      if (step < 4) {
        s8_step_32<kSigned, kStream, 1>(run + k, g.a_stride, b, finish);
        continue;
      }
      if (stores && step % kStoreEvery == 0) _tile_stored(6, c, 64);
      s8_step_32<kSigned, kStream, 0>(run + k, g.a_stride, b, finish);
    }
  }
}

/// All of K.
template <bool kSigned, class Finisher>
NARROW_LANE_INLINE void s8_steps_32(const S8Args& g, const uint8_t* a, const int8_t* b, Finisher& finish,
                                    int32_t* c) {
  const int64_t depth = g.segments * g.segment_bytes;
  if (depth > 128)
    return g.b_streams ? s8_deep_32<kSigned, true>(g, a, b, finish, c)
                       : s8_deep_32<kSigned, false>(g, a, b, finish, c);
  if (depth == 64) return s8_step_32<kSigned, false, 4>(a + g.offsets[0], g.a_stride, b, finish);
  const bool one_run = g.segments == 1;
  s8_step_32<kSigned, false, 2>(a + g.offsets[0], g.a_stride, b, finish);
  s8_step_32<kSigned, false, 2>(a + (one_run ? g.offsets[0] + 64 : g.offsets[1]), g.a_stride, b + 2048,
                                finish);
}

template <bool kSigned, class Finisher>
NARROW_LANE_INLINE void s8_tiles_32(const S8Args& g, const uint8_t* a, const int8_t* b, Finisher& finish,
                                    int32_t* c) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  s8_steps_32<kSigned>(g, a, b, finish, c);
  finish.rest();
  _tile_stored(0, c, 128);
  _tile_stored(1, c + 16, 128);
  _tile_stored(2, c + 512, 128);
  _tile_stored(3, c + 528, 128);
}

/// The upper two tiles only.
template <bool kSigned, class Finisher>
NARROW_LANE_INLINE void s8_tiles_16(const S8Args& g, const uint8_t* a, const int8_t* b, Finisher& finish,
                                    int32_t* c) {
  _tile_zero(0);
  _tile_zero(1);
  for (int64_t segment = 0; segment < g.segments; ++segment) {
    const uint8_t* run = a + g.offsets[segment];
    for (int64_t k = 0; k < g.segment_bytes; k += 64, b += 2048) {
      _tile_loadd(4, run + k, g.a_stride);
      finish.template next<1>();
      _tile_loadd(6, b, 64);
      NARROW_S8_DP(0, 4, 6);
      _tile_loadd(7, b + 1024, 64);
      finish.template next<1>();
      NARROW_S8_DP(1, 4, 7);
    }
  }
  finish.rest();
  _tile_stored(0, c, 128);
  _tile_stored(1, c + 16, 128);
}

template <class Finisher>
NARROW_LANE_INLINE void s8_tiles(const S8Args& g, const uint8_t* a, const int8_t* b, int64_t rows,
                                 Finisher finish, int32_t* c) {
  if (g.is_signed)
    rows > 16 ? s8_tiles_32<true>(g, a, b, finish, c) : s8_tiles_16<true>(g, a, b, finish, c);
  else
    rows > 16 ? s8_tiles_32<false>(g, a, b, finish, c) : s8_tiles_16<false>(g, a, b, finish, c);
}

struct Amx {
  static constexpr int64_t kRows = 32, kColumns = 32;
  static int64_t cover(int64_t n) { return n > 16 ? 32 : 16; }
  static void begin() { _tile_loadconfig(&kConfig); }
  static void end() { _tile_release(); }
  static void tile(const S8Args& g, const uint8_t* a, const int8_t* b, const int32_t* /*bias*/, int64_t rows,
                   const S8Pending& pending, int32_t* c) {
    const S8Finish& f = g.finish;
    if (!f.stays_in_bytes) {
      finish(f, *pending.rows, pending.sums);
      return s8_tiles(g, a, b, rows, S8Nothing{}, c);
    }
    with_s8_pairs<true>(f, *pending.rows, pending.sums,
                        [&](auto pairs) { s8_tiles(g, a, b, rows, pairs, c); });
  }
  static void finish(const S8Finish& f, const S8Rows& rows, const S8Sums& sums) {
    s8_finish_avx512<true>(f, rows, sums);
  }
};

}  // namespace

void s8_task_amx(const S8Args& args, const S8Range& range) { s8_task<Amx>(args, range); }

}  // namespace narrow::kernels
