#include <algorithm>

#include "kernels/matmul/tile.h"

namespace narrow::kernels {

void tile_f32(const TileF32& tile, Isa isa) {
  (isa >= Isa::avx512 ? tile_f32_avx512 : isa >= Isa::avx2 ? tile_f32_avx2 : tile_f32_plain)(tile);
}

void tile_f32_plain(const TileF32& t) {
  for (int64_t i = 0; i < t.rows; ++i) {
    float acc[kPanel] = {};
    for (int64_t k = 0; k < t.k; ++k)
      for (int64_t j = 0; j < kPanel; ++j) acc[j] += t.a[i * t.a_row + k] * t.b[k * kPanel + j];
    for (int64_t j = 0; j < t.columns; ++j) t.c[i * t.c_row + j] = t.alpha * acc[j];
  }
}

}  // namespace narrow::kernels
