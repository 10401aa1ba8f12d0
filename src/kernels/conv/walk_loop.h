// The loop around every kernel that walks positions, compiled into each instruction set's file (hence the
// unnamed namespace).
//
// Isa gives: Sum, the type of sums; Args, a ConvWalk with what finishing wants; kRows, kColumns; begin(args)
// and end() around a task; cover(n): how many rows tile() computes when n are wanted; tile(args, a, b, at,
// rows, pending, c): sums of cover(rows) rows into c[kRows][kColumns], where `at` is the panel's first padded
// column; finish(args, rows, sums). Where kAtOnce is set, tile() finishes the block it computes itself:
// `pending` is that one, and finish() is not called.
#pragma once

#include "kernels/conv/fetch_lines.h"
#include "kernels/conv/walk.h"

namespace narrow::kernels {
namespace {

/// Which of the positions [first, start + tile_rows) of the block at `start` are pixels, run by run.
void map_rows(const ConvWalk& g, int64_t start, int64_t first, int64_t tile_rows, int64_t columns,
              ConvRows& rows) {
  const int64_t end = start + tile_rows < g.positions ? start + tile_rows : g.positions;
  const int64_t row = first / g.pitch + g.row_begin, pixel = g.dst_pixel;
  int64_t x = first % g.pitch, y = row % g.rows, image = row / g.rows, n = 0;
  for (int64_t p = first; p < end;) {
    const int64_t row_end = p - x + g.pitch, live_end = y < g.oh ? p - x + g.ow : p;
    const int64_t run_end = live_end < end ? live_end : end;
    int64_t sums = (p - start) * columns, element = ((image * g.oh + y) * g.ow + x) * pixel;
    for (; p < run_end; ++p, ++n, sums += columns, element += pixel)
      rows.sums[n] = sums, rows.element[n] = element;
    p = row_end;
    x = 0;
    if (++y == g.rows) y = 0, ++image;
  }
  rows.count = n;
  rows.sums[n] = rows.sums[n > 0 ? n - 1 : 0];
  rows.element[n] = rows.element[n > 0 ? n - 1 : 0];
}

/// Whether tile() finishes what it computes.
template <class Isa>
constexpr bool kAtOnce = requires {
  requires Isa::kAtOnce;
};

/// Computes tile after tile; each is finished while the next is being computed, as the instruction set likes
/// it.
template <class Isa>
class Walk {
 public:
  using Args = typename Isa::Args;
  using Sum = typename Isa::Sum;

  Walk(const Args& args, int64_t group) : g_(args), group_(group) { rows_[0].count = 0; }

  /// The block's rows, until the next call.
  void enter_block(int64_t block) {
    const int64_t first = block * Isa::kRows, left = g_.positions - first;
    const int64_t wanted = left < Isa::kRows ? left : Isa::kRows,
                  last_start = g_.readable - Isa::cover(wanted);
    const int64_t start = first < last_start ? first : last_start;
    rows_turn_ ^= 1;
    map_rows(g_, start, first, Isa::kRows, Isa::kColumns, rows_[rows_turn_]);
    const bool in_tail = start >= g_.tail_begin;
    a_ = (in_tail ? g_.tail + (start - g_.tail_begin) * g_.a_stride : g_.a + start * g_.a_stride) +
         group_ * g_.group_bytes;
    live_rows_ = wanted + first - start;
  }

  void compute(int64_t panel) {
    const int64_t at = group_ * g_.panels + panel, column = panel * Isa::kColumns, left = g_.outputs - column;
    const ConvPending<Sum> now{
        &rows_[rows_turn_],
        {c_, left < Isa::kColumns ? left : Isa::kColumns, group_ * g_.outputs + column, at * Isa::kColumns}};
    if constexpr (kAtOnce<Isa>) pending_ = now;
    Isa::tile(g_, a_, g_.b + at * g_.panel_bytes, at * Isa::kColumns, live_rows_, pending_, c_);
    pending_ = now;
  }

  void finish() {
    if constexpr (!kAtOnce<Isa>) Isa::finish(g_, *pending_.rows, pending_.sums);
  }

 private:
  alignas(64) Sum c_[Isa::kRows * Isa::kColumns];
  const Args& g_;
  int64_t group_;
  const uint8_t* a_ = nullptr;
  int64_t live_rows_ = 0;
  ConvRows rows_[2];
  ConvPending<Sum> pending_{&rows_[0], {c_, 0, 0, 0}};
  int rows_turn_ = 0;
};

template <class Isa>
void walk_task(const typename Isa::Args& g, const ConvRange& r) {
  Walk<Isa> walk(g, r.group);
  Isa::begin(g);
  if (r.panels_outside) {
    for (int64_t panel = r.panel_begin; panel < r.panel_end; ++panel)
      for (int64_t block = r.block_begin; block < r.block_end; ++block) {
        walk.enter_block(block);
        walk.compute(panel);
        fetch_lines(r.fetch);
      }
  } else {
    for (int64_t block = r.block_begin; block < r.block_end; ++block) {
      walk.enter_block(block);
      for (int64_t panel = r.panel_begin; panel < r.panel_end; ++panel) {
        walk.compute(panel);
        fetch_lines(r.fetch);
      }
    }
  }
  walk.finish();
  Isa::end();
}

}  // namespace
}  // namespace narrow::kernels
