#include <algorithm>
#include <cstring>

#include "base/aligned.h"
#include "kernels/lanes/element.h"
#include "kernels/lanes/lanes.h"
#include "kernels/layout/transpose.h"
#include "kernels/matmul/tile.h"

namespace narrow::kernels {
namespace {

void transpose(int64_t bytes, const TransposeTile& tile, Isa isa) {
  (isa >= Isa::avx512 ? transpose_avx512 : transpose_plain)(bytes, tile);
}

float element(const MatrixView& m, int64_t i, int64_t j) {
  return load_real(m.format, m.data, i * m.row_stride + j * m.column_stride);
}

/// Columns that are contiguous along k: 16 of them are widened for a stretch of k, then turned.
void turn_columns_f32(const MatrixView& b, int64_t first, int64_t columns, float* dst, Isa isa) {
  constexpr int64_t kColumns = 16, kDepth = 64;
  alignas(64) float buffer[kColumns * kDepth];
  for (int64_t c = 0; c < columns; c += kColumns)
    for (int64_t k = 0; k < b.rows; k += kDepth) {
      const int64_t live = std::min(kColumns, columns - c), depth = std::min(kDepth, b.rows - k);
      for (int64_t j = 0; j < live; ++j)
        load_run(b.format, b.data, (first + c + j) * b.column_stride + k, depth, buffer + j * kDepth, isa);
      transpose(4,
                {reinterpret_cast<const uint8_t*>(buffer), reinterpret_cast<uint8_t*>(dst + k * kPanel + c),
                 kDepth, kPanel, live, depth},
                isa);
    }
}

/// The same for bf16 in pairs: a pair is one element of 32 bits.
void turn_columns_bf16(const MatrixView& b, int64_t first, int64_t columns, uint16_t* dst, Isa isa) {
  const auto* src = static_cast<const uint16_t*>(b.data) + first * b.column_stride;
  transpose(4,
            {reinterpret_cast<const uint8_t*>(src), reinterpret_cast<uint8_t*>(dst), b.column_stride / 2,
             kAmxPanel, columns, b.rows / 2},
            isa);
}

void pack_pair(const MatrixView& b, int64_t k, int64_t first, int64_t columns, uint16_t* dst) {
  for (int64_t j = 0; j < columns; ++j)
    for (int64_t half = 0; half < 2 && k + half < b.rows; ++half)
      dst[2 * j + half] = bf16(element(b, k + half, first + j)).bits;
}

/// A row whose elements are `stride` apart, as FP32.
void load_strided(const MatrixView& a, int64_t row, float* dst, Isa isa) {
  if (a.column_stride == 1) return load_run(a.format, a.data, row * a.row_stride, a.columns, dst, isa);
  for (int64_t j = 0; j < a.columns; ++j) dst[j] = element(a, row, j);
}

}  // namespace

void pack_panel_f32(const MatrixView& b, int64_t first, float* dst, Isa isa) {
  const int64_t columns = std::min(kPanel, b.columns - first);
  if (columns < kPanel) std::memset(dst, 0, static_cast<size_t>(b.rows * kPanel * 4));
  if (b.column_stride != 1 && b.row_stride == 1) return turn_columns_f32(b, first, columns, dst, isa);
  for (int64_t k = 0; k < b.rows; ++k) {
    if (b.column_stride == 1) {
      load_run(b.format, b.data, k * b.row_stride + first, columns, dst + k * kPanel, isa);
      continue;
    }
    for (int64_t j = 0; j < columns; ++j) dst[k * kPanel + j] = element(b, k, first + j);
  }
}

void pack_panel_bf16(const MatrixView& b, int64_t first, uint16_t* dst, Isa isa) {
  const int64_t columns = std::min(kAmxPanel, b.columns - first), depth = round_up(b.rows, kAmxDepth);
  const bool is_bf16 = b.format.type == DType::bf16;
  if (columns < kAmxPanel || depth != b.rows) std::memset(dst, 0, static_cast<size_t>(depth * kAmxPanel * 2));
  int64_t k = 0;
  if (is_bf16 && b.row_stride == 1 && b.column_stride % 2 == 0 && b.column_stride != 0) {
    turn_columns_bf16(b, first, columns, dst, isa);
    k = b.rows / 2 * 2;
  } else if (is_bf16 && b.column_stride == 1 && isa >= Isa::avx512) {
    const auto* src = static_cast<const uint16_t*>(b.data) + first;
    for (; k + 2 <= b.rows; k += 2)
      pack_pairs_avx512(src + k * b.row_stride, src + (k + 1) * b.row_stride, columns, dst + k * kAmxPanel);
  }
  for (; k < b.rows; k += 2) pack_pair(b, k, first, columns, dst + k * kAmxPanel);
}

void pack_rows_f32(const MatrixView& a, int64_t begin, int64_t end, float* dst, int64_t pitch, Isa isa) {
  for (int64_t i = begin; i < end; ++i, dst += pitch) {
    load_strided(a, i, dst, isa);
    std::fill(dst + a.columns, dst + pitch, 0.0F);
  }
}

void pack_rows_bf16(const MatrixView& a, int64_t begin, int64_t end, uint16_t* dst, int64_t pitch, Isa isa) {
  alignas(64) float buffer[kRun];
  for (int64_t i = begin; i < end; ++i, dst += pitch) {
    for (int64_t j = 0; j < a.columns; j += kRun) {
      const MatrixView part{
          a.format,     static_cast<const uint8_t*>(a.data) + j * a.column_stride * bytes_of(a.format.type),
          a.rows,       std::min(kRun, a.columns - j),
          a.row_stride, a.column_stride};
      if (a.format.type == DType::bf16 && a.column_stride == 1) {
        std::memcpy(dst + j, static_cast<const uint16_t*>(part.data) + i * a.row_stride,
                    static_cast<size_t>(part.columns * 2));
        continue;
      }
      load_strided(part, i, buffer, isa);
      store_run({DType::bf16, {}}, buffer, dst, j, part.columns, isa);
    }
    std::fill(dst + a.columns, dst + pitch, uint16_t{0});
  }
}

}  // namespace narrow::kernels
