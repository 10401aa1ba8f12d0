// 32 x 32 sums in four AMX tiles:  C[32,32] = A[32,K] x B[K,32], for files with the AMX flags.
//
//   tmm0 tmm1     rows 0..15     tmm4, tmm5  A: 16 positions x step_bytes, read where they lie
//   tmm2 tmm3     rows 16..31    tmm6, tmm7  B: step_bytes of K x 16 columns, four bytes of K side by side
//
// Per step of 64 bytes four tile products (64 cycles) stand against four tile loads (4 KiB).
#pragma once

#include "kernels/conv/walk.h"
#include "kernels/math/simd_avx512.h"

namespace narrow::kernels {
namespace {

#define NARROW_AMX_INLINE inline __attribute__((always_inline))

enum class AmxProduct { u8s8, s8s8, bf16, f16 };

/// f16 numbers are the sums of two bf16 numbers (bf16_task.h), of which three of four products are taken.
constexpr bool is_split(AmxProduct product) { return product == AmxProduct::f16; }
/// Steps of B beside each other.
constexpr int64_t planes_of(AmxProduct product) { return is_split(product) ? 2 : 1; }

struct alignas(64) AmxConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

/// Finishes nothing.
struct AmxNothing {
  template <int kPairs>
  void next() {}
  void rest() {}
};

// Tile numbers are part of the instruction: no function can take them.
#define NARROW_AMX_DP(c, a, b)                       \
  do {                                               \
    if constexpr (kProduct == AmxProduct::s8s8)      \
      _tile_dpbssd(c, a, b);                         \
    else if constexpr (kProduct == AmxProduct::u8s8) \
      _tile_dpbusd(c, a, b);                         \
    else                                             \
      _tile_dpbf16ps(c, a, b);                       \
  } while (false)

/// One step; after each load some pairs of rows of the tile before are finished. A tile store holds up the
/// front end for 16 cycles and nothing else overlaps with it; loads and products run beside the vector units
/// as long as instructions come fast enough.
///
/// kStream: B passes by once while A is read again for the next panel. Marked so, it does not push A out of
/// L1.
template <AmxProduct kProduct, bool kStream, int kPairs, class Finisher>
NARROW_AMX_INLINE void amx_step_32(const ConvWalk& g, const uint8_t* a, const int8_t* b, int64_t b_tile,
                                   Finisher& finish) {
  const int64_t stride = g.a_stride;
  if constexpr (kStream)
    _tile_stream_loadd(6, b, 64);
  else
    _tile_loadd(6, b, 64);
  finish.template next<kPairs>();
  _tile_loadd(4, a, stride);
  finish.template next<kPairs>();
  NARROW_AMX_DP(0, 4, 6);
  if constexpr (kStream)
    _tile_stream_loadd(7, b + b_tile, 64);
  else
    _tile_loadd(7, b + b_tile, 64);
  finish.template next<kPairs>();
  NARROW_AMX_DP(1, 4, 7);
  _tile_loadd(5, a + 16 * stride, stride);
  finish.template next<kPairs>();
  NARROW_AMX_DP(2, 5, 6);
  NARROW_AMX_DP(3, 5, 7);
  if constexpr (is_split(kProduct)) {
    const int8_t* b_low = b + 2 * b_tile;
    const uint8_t* a_low = a + g.a_plane;
    _tile_loadd(4, a_low, stride);  // low x high
    NARROW_AMX_DP(0, 4, 6);
    NARROW_AMX_DP(1, 4, 7);
    _tile_loadd(5, a_low + 16 * stride, stride);
    NARROW_AMX_DP(2, 5, 6);
    NARROW_AMX_DP(3, 5, 7);
    _tile_loadd(4, a, stride);  // high x low
    _tile_loadd(6, b_low, 64);
    NARROW_AMX_DP(0, 4, 6);
    _tile_loadd(7, b_low + b_tile, 64);
    NARROW_AMX_DP(1, 4, 7);
    _tile_loadd(5, a + 16 * stride, stride);
    NARROW_AMX_DP(2, 5, 6);
    NARROW_AMX_DP(3, 5, 7);
  }
}

/// A tile store that waits for more than about 32 steps costs about a thousand cycles, any store in between
/// prevents it (docs/performance.md): so B's tile goes to where the sums will.
constexpr int64_t kAmxStepsWithoutStore = 28, kAmxStoreEvery = 16;

/// More than two steps, the tile before being finished within the first four.
template <AmxProduct kProduct, bool kStream, class Finisher>
NARROW_AMX_INLINE void amx_deep_32(const ConvWalk& g, const uint8_t* a, const int8_t* b, Finisher& finish,
                                   void* c) {
  constexpr int64_t kPasses = is_split(kProduct) ? 3 : 1, kPlanes = planes_of(kProduct);
  const bool stores = kPasses * g.segments * g.segment_bytes > kAmxStepsWithoutStore * g.step_bytes;
  const int64_t b_tile = g.step_bytes * 16;
  int64_t step = 0;
  for (int64_t segment = 0; segment < g.segments; ++segment) {
    const uint8_t* run = a + g.offsets[segment];
    for (int64_t k = 0; k < g.segment_bytes; k += g.step_bytes, b += kPlanes * 2 * b_tile, ++step) {
      if (step < 4) {
        amx_step_32<kProduct, kStream, 1>(g, run + k, b, b_tile, finish);
        continue;
      }
      if (stores && step % (kAmxStoreEvery / kPasses) == 0) _tile_stored(6, c, 64);
      amx_step_32<kProduct, kStream, 0>(g, run + k, b, b_tile, finish);
    }
  }
}

template <AmxProduct kProduct, class Finisher>
NARROW_AMX_INLINE void amx_tiles_32(const ConvWalk& g, const uint8_t* a, const int8_t* b, Finisher& finish,
                                    int32_t* c) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  const int64_t steps = g.segments * g.segment_bytes / g.step_bytes, b_tile = g.step_bytes * 16;
  if (steps == 1) {
    amx_step_32<kProduct, false, 4>(g, a + g.offsets[0], b, b_tile, finish);
  } else if (steps == 2) {
    const int64_t second = g.segments == 1 ? g.offsets[0] + g.step_bytes : g.offsets[1];
    amx_step_32<kProduct, false, 2>(g, a + g.offsets[0], b, b_tile, finish);
    amx_step_32<kProduct, false, 2>(g, a + second, b + planes_of(kProduct) * 2 * b_tile, b_tile, finish);
  } else if (g.b_streams) {
    amx_deep_32<kProduct, true>(g, a, b, finish, c);
  } else {
    amx_deep_32<kProduct, false>(g, a, b, finish, c);
  }
  finish.rest();
  _tile_stored(0, c, 128);
  _tile_stored(1, c + 16, 128);
  _tile_stored(2, c + 512, 128);
  _tile_stored(3, c + 528, 128);
}

/// The upper two tiles only: products in the same order.
template <AmxProduct kProduct, class Finisher>
NARROW_AMX_INLINE void amx_tiles_16(const ConvWalk& g, const uint8_t* a, const int8_t* b, Finisher& finish,
                                    int32_t* c) {
  const int64_t b_tile = g.step_bytes * 16;
  _tile_zero(0);
  _tile_zero(1);
  for (int64_t segment = 0; segment < g.segments; ++segment) {
    const uint8_t* run = a + g.offsets[segment];
    for (int64_t k = 0; k < g.segment_bytes; k += g.step_bytes, b += planes_of(kProduct) * 2 * b_tile) {
      _tile_loadd(4, run + k, g.a_stride);
      finish.template next<1>();
      _tile_loadd(6, b, 64);
      NARROW_AMX_DP(0, 4, 6);
      _tile_loadd(7, b + b_tile, 64);
      finish.template next<1>();
      NARROW_AMX_DP(1, 4, 7);
      if constexpr (is_split(kProduct)) {
        _tile_loadd(5, run + k + g.a_plane, g.a_stride);
        NARROW_AMX_DP(0, 5, 6);
        NARROW_AMX_DP(1, 5, 7);
        _tile_loadd(6, b + 2 * b_tile, 64);
        NARROW_AMX_DP(0, 4, 6);
        _tile_loadd(7, b + 3 * b_tile, 64);
        NARROW_AMX_DP(1, 4, 7);
      }
    }
  }
  finish.rest();
  _tile_stored(0, c, 128);
  _tile_stored(1, c + 16, 128);
}

template <AmxProduct kProduct, class Finisher>
NARROW_AMX_INLINE void amx_tiles(const ConvWalk& g, const uint8_t* a, const int8_t* b, int64_t rows,
                                 Finisher finish, void* c) {
  auto* sums = static_cast<int32_t*>(c);
  if (rows > 16)
    amx_tiles_32<kProduct>(g, a, b, finish, sums);
  else
    amx_tiles_16<kProduct>(g, a, b, finish, sums);
}

#undef NARROW_AMX_DP

}  // namespace
}  // namespace narrow::kernels
