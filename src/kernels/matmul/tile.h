// The inner products under matmul and attention: packed operands and one tile of results. Per ISA.
#pragma once

#include <cstdint>

#include "base/cpu.h"
#include "kernels/tensor_quant.h"

namespace narrow::kernels {

/// A matrix with any strides, in elements from `data`.
struct MatrixView {
  Format format;
  const void* data;
  int64_t rows, columns;
  int64_t row_stride, column_stride;
};

constexpr int64_t kPanel = 64;  // columns of a packed FP32 panel: four registers
constexpr int64_t kTileRows =
    6;  // rows of an FP32 tile: 6 x 4 accumulators, 4 of b and 1 of a fill the 32 registers
constexpr int64_t kAmxPanel = 16;  // columns of a packed bf16 panel: one AMX tile
constexpr int64_t kAmxDepth = 32;  // bf16 values of k in one tile

/// c[i, j] = alpha * sum_k a[i * a_row + k] * b[k * kPanel + j]  for i < rows <= kTileRows, j < columns <=
/// kPanel.
struct TileF32 {
  const float* a;
  int64_t a_row;
  const float* b;
  int64_t k;
  float* c;
  int64_t c_row;
  int64_t rows, columns;
  float alpha;
};
void tile_f32_plain(const TileF32& tile);
void tile_f32_avx2(const TileF32& tile);
void tile_f32_avx512(const TileF32& tile);
void tile_f32(const TileF32& tile, Isa isa);

/// Sixteen rows or twice as many, likewise columns:  c = a x b with a [16 * row_tiles, k] bf16 (pitch in
/// elements), b two packed panels, k a multiple of kAmxDepth; c is written in whole tiles. Between amx_begin
/// and amx_end on this thread.
struct TileBf16 {
  const uint16_t* a;
  int64_t a_row;
  const uint16_t* b;
  int64_t k;
  float* c;
  int64_t c_row;
  int row_tiles, column_tiles;  // 1 or 2
  int64_t b_panel;              // elements from one panel of b to the next
};
void amx_begin();
void amx_end();
void tile_bf16_amx(const TileBf16& tile);

/// Columns [first, first + kPanel) of b as [rows][kPanel] FP32, zeros beyond the last column.
void pack_panel_f32(const MatrixView& b, int64_t first, float* dst, Isa isa);

/// Columns [first, first + kAmxPanel) of b as [round_up(rows, kAmxDepth) / 2][kAmxPanel][2] bf16: pairs along
/// k lie together; zeros beyond the last row and column.
void pack_panel_bf16(const MatrixView& b, int64_t first, uint16_t* dst, Isa isa);
/// Pairs of rows whose columns are contiguous bf16; columns <= 16.
void pack_pairs_avx512(const uint16_t* even, const uint16_t* odd, int64_t columns, uint16_t* dst);

/// Rows [begin, end) of a into dst (row `begin` first), `pitch` elements apart, zeros from a.columns to
/// pitch.
void pack_rows_f32(const MatrixView& a, int64_t begin, int64_t end, float* dst, int64_t pitch, Isa isa);
void pack_rows_bf16(const MatrixView& a, int64_t begin, int64_t end, uint16_t* dst, int64_t pitch, Isa isa);

}  // namespace narrow::kernels
