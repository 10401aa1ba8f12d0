// Tiles 0..3 hold c, 4 and 5 rows of a, 6 and 7 panels of b: each load of a and b serves two products.
#include <immintrin.h>

#include "kernels/matmul/tile.h"

namespace narrow::kernels {
namespace {

struct alignas(64) TileConfig {
  uint8_t palette, start_row, reserved[14];
  uint16_t column_bytes[16];
  uint8_t rows[16];
};
static_assert(sizeof(TileConfig) == 64);

// All eight tiles whole. Static, because GCC 12 believes that _tile_loadconfig reads 8 bytes and drops other
// stores.
constexpr TileConfig kWholeTiles = {
    1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

constexpr int64_t kBPitch = kAmxPanel * 2;  // elements from one pair of k to the next

template <bool kTwoRows, bool kTwoColumns>
void tile(const TileBf16& t) {
  const auto a_bytes = static_cast<long>(t.a_row * 2), c_bytes = static_cast<long>(t.c_row * 4);
  _tile_zero(0);
  if constexpr (kTwoColumns) _tile_zero(1);
  if constexpr (kTwoRows) _tile_zero(2);
  if constexpr (kTwoRows && kTwoColumns) _tile_zero(3);
  for (int64_t k = 0; k < t.k; k += kAmxDepth) {
    const uint16_t* b = t.b + k / 2 * kBPitch;
    _tile_loadd(4, t.a + k, a_bytes);
    _tile_loadd(6, b, 64);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kTwoColumns) {
      _tile_loadd(7, b + t.b_panel, 64);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (kTwoRows) {
      _tile_loadd(5, t.a + 16 * t.a_row + k, a_bytes);
      _tile_dpbf16ps(2, 5, 6);
    }
    if constexpr (kTwoRows && kTwoColumns) _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, t.c, c_bytes);
  if constexpr (kTwoColumns) _tile_stored(1, t.c + 16, c_bytes);
  if constexpr (kTwoRows) _tile_stored(2, t.c + 16 * t.c_row, c_bytes);
  if constexpr (kTwoRows && kTwoColumns) _tile_stored(3, t.c + 16 * t.c_row + 16, c_bytes);
}

}  // namespace

void amx_begin() { _tile_loadconfig(&kWholeTiles); }

void amx_end() { _tile_release(); }

void tile_bf16_amx(const TileBf16& t) {
  if (t.row_tiles == 2) return t.column_tiles == 2 ? tile<true, true>(t) : tile<true, false>(t);
  t.column_tiles == 2 ? tile<false, true>(t) : tile<false, false>(t);
}

}  // namespace narrow::kernels
