// The loop around every int8 kernel, compiled into each instruction set's file (hence the unnamed namespace).
//
// Isa gives: kRows, kColumns; begin() and end() around a task; cover(n): how many rows tile() computes when n
// are wanted; tile(args, a, b, bias, rows, c): sums of cover(rows) rows into c[kRows][kColumns];
// finish(finish, rows, sums).
#pragma once

#include "kernels/conv/s8_task.h"

namespace narrow::kernels {
namespace {

/// Which of the positions [first, start + kRows) of the block at `start` are pixels.
void s8_map_rows(const S8Args& g, int64_t start, int64_t first, int64_t tile_rows, S8Rows& rows) {
  const int64_t end = start + tile_rows < g.positions ? start + tile_rows : g.positions;
  int64_t x = first % g.pitch, y = first / g.pitch % g.rows, image = first / g.pitch / g.rows;
  rows.count = 0;
  for (int64_t p = first; p < end; ++p) {
    if (x < g.ow && y < g.oh) {
      rows.block_row[rows.count] = p - start;
      rows.pixel[rows.count++] = (image * g.oh + y) * g.ow + x;
    }
    if (++x < g.pitch) continue;
    x = 0;
    if (++y == g.rows) y = 0, ++image;
  }
}

template <class Isa>
void s8_block(const S8Args& g, const S8Range& r, int64_t block, int64_t panel, S8Rows& rows, bool remap,
              int32_t* c) {
  const int64_t first = block * Isa::kRows, left_rows = g.positions - first;
  const int64_t wanted = left_rows < Isa::kRows ? left_rows : Isa::kRows,
                last_start = g.readable - Isa::cover(wanted);
  const int64_t start = first < last_start ? first : last_start;
  if (remap) s8_map_rows(g, start, first, Isa::kRows, rows);
  const uint8_t* a =
      start >= g.tail_begin ? g.tail + (start - g.tail_begin) * g.a_stride : g.a + start * g.a_stride;
  const int64_t at = r.group * g.panels + panel, column = panel * Isa::kColumns;
  Isa::tile(g, a + r.group * g.channels, g.b + at * g.panel_bytes, g.bias + at * Isa::kColumns,
            wanted + first - start, c);
  const int64_t left = g.outputs - column;
  const S8Sums sums{c, Isa::kColumns, left < Isa::kColumns ? left : Isa::kColumns,
                    r.group * g.outputs + column, at * Isa::kColumns};
  Isa::finish(g.finish, rows, sums);
}

template <class Isa>
void s8_task(const S8Args& g, const S8Range& r) {
  alignas(64) int32_t c[Isa::kRows * Isa::kColumns];
  S8Rows rows;
  Isa::begin();
  if (r.panels_outside) {
    for (int64_t panel = r.panel_begin; panel < r.panel_end; ++panel)
      for (int64_t block = r.block_begin; block < r.block_end; ++block)
        s8_block<Isa>(g, r, block, panel, rows, true, c);
  } else {
    for (int64_t block = r.block_begin; block < r.block_end; ++block)
      for (int64_t panel = r.panel_begin; panel < r.panel_end; ++panel)
        s8_block<Isa>(g, r, block, panel, rows, panel == r.panel_begin, c);
  }
  Isa::end();
}

}  // namespace
}  // namespace narrow::kernels
