// Int8 products of few steps: 16 x 32 sums at a time, by turns in tiles 0 and 1 and in tiles 2 and 3. The 16
// positions are pixels side by side: of all images where no positions are in between, else of a row.
//
// With few steps a block takes as long as its sums need to get out: a product's latency, the tile stores,
// then what happens to the sums. So while a block is multiplied into two tiles, the sums of the one before
// wait in the other two, and those of the one before that, which have been stored, are finished.
#include <type_traits>

#include "kernels/conv/amx_steps.h"
#include "kernels/conv/fetch_lines.h"
#include "kernels/conv/s8_finish_avx512.h"

namespace narrow::kernels {
namespace {

const AmxConfig kConfig;  // static: see s8_conv_amx.cpp

constexpr int64_t kRows = 16, kColumns = 32, kMaxSteps = 4;

/// Rows of a tile: those before `skipped` are not stored.
struct Rows {
  const uint8_t* a = nullptr;
  int64_t skipped = 0, count = 0, element = 0;  // how many are stored, the first of them in dst
};

/// Where a block's sums go; no row to begin with.
struct Block {
  Rows rows;
  int64_t columns = 0, channel = 0, at = 0;  // as in ConvSums
};

/// What a block's sums are made of.
struct Operands {
  const uint8_t* a;
  const int8_t* b;
  const int32_t* start;
  const int64_t* offsets;  // of each step's bytes from a
};

// Tile numbers are part of the instruction: no function can take them.

template <int kTurn>
NARROW_AMX_INLINE void begin_sums(const int32_t* start) {
  if constexpr (kTurn == 0) {
    _tile_loadd(0, start, 0);
    _tile_loadd(1, start + 16, 0);
  } else {
    _tile_loadd(2, start, 0);
    _tile_loadd(3, start + 16, 0);
  }
}

template <int kTurn>
NARROW_AMX_INLINE void store_sums(int32_t* c) {
  if constexpr (kTurn == 0) {
    _tile_stored(0, c, 4 * kColumns);
    _tile_stored(1, c + 16, 4 * kColumns);
  } else {
    _tile_stored(2, c, 4 * kColumns);
    _tile_stored(3, c + 16, 4 * kColumns);
  }
}

template <int kTurn>
NARROW_AMX_INLINE void load_rows(const uint8_t* a, int64_t stride) {
  if constexpr (kTurn == 0)
    _tile_loadd(4, a, stride);
  else
    _tile_loadd(5, a, stride);
}

template <int kTurn>
NARROW_AMX_INLINE void multiply_left() {
  if constexpr (kTurn == 0)
    _tile_dpbusd(0, 4, 6);
  else
    _tile_dpbusd(2, 5, 6);
}

template <int kTurn>
NARROW_AMX_INLINE void multiply_right() {
  if constexpr (kTurn == 0)
    _tile_dpbusd(1, 4, 7);
  else
    _tile_dpbusd(3, 5, 7);
}

template <int kSteps, int kTurn, class Finisher>
NARROW_AMX_INLINE void multiply(int64_t a_stride, const Operands& of, Finisher finish) {
  constexpr int64_t kTile = 1024;
  begin_sums<kTurn>(of.start);
#pragma GCC unroll 4
  for (int64_t step = 0; step < kSteps; ++step) {
    _tile_loadd(6, of.b + 2 * step * kTile, 64);
    load_rows<kTurn>(of.a + of.offsets[step], a_stride);
    finish.template next<4>();
    multiply_left<kTurn>();
    _tile_loadd(7, of.b + (2 * step + 1) * kTile, 64);
    multiply_right<kTurn>();
  }
  finish.rest();
}

/// One block into this turn's tiles while the whole block `stored` is finished; then the other turn's tiles
/// to c, where its sums were. Pairs is AmxNothing where none is.
template <int kSteps, int kTurn, class Pairs>
void step(const S8Args& g, const Operands& of, const Block& stored, int32_t* c) {
  if constexpr (std::is_same_v<Pairs, AmxNothing>)
    multiply<kSteps, kTurn>(g.a_stride, of, AmxNothing{});
  else
    multiply<kSteps, kTurn>(g.a_stride, of,
                            Pairs(g.finish, {stored.rows.element, g.dst_pixel},
                                  S8Sums{c, stored.columns, stored.channel, stored.at}));
  store_sums<1 - kTurn>(c);
}

using Step = void (*)(const S8Args& g, const Operands& of, const Block& stored, int32_t* c);
/// A step of each turn.
struct Steps {
  Step turn[2];
};

template <class Pairs, int kSteps = 1>
Steps steps_of(int64_t count) {
  if constexpr (kSteps < kMaxSteps)
    if (count > kSteps) return steps_of<Pairs, kSteps + 1>(count);
  return {{step<kSteps, 0, Pairs>, step<kSteps, 1, Pairs>}};
}

Steps steps_that_finish(const S8Finish& f, int64_t columns, int64_t count) {
  Steps steps{};
  with_s8_pairs<S8Sum::on_float, WholeRows<kRows, kColumns>>(
      f, columns, [&]<class Pairs>() { steps = steps_of<Pairs>(count); });
  return steps;
}

class Shallow {
 public:
  explicit Shallow(const S8Args& g) : g_(g) {
    int64_t steps = 0;
    for (int64_t segment = 0; segment < g.segments; ++segment)
      for (int64_t k = 0; k < g.segment_bytes; k += g.step_bytes) offsets_[steps++] = g.offsets[segment] + k;
    wide_ = steps_that_finish(g.finish, kColumns, steps);
    narrow_ = steps_that_finish(g.finish, 1, steps);
    alone_ = steps_of<AmxNothing>(steps);
  }

  /// Calls f(rows) for the positions [begin, end), which all are pixels.
  template <class F>
  void for_dense_rows(int64_t begin, int64_t end, F&& f) const {
    for (int64_t first = begin; first < end; first += kRows) {
      const int64_t left = g_.positions - first, last_start = g_.readable - kRows,
                    start = first < last_start ? first : last_start;
      const uint8_t* a = start >= g_.tail_begin ? g_.tail + (start - g_.tail_begin) * g_.a_stride
                                                : g_.a + start * g_.a_stride;
      f(Rows{a, first - start, left < kRows ? left : kRows, first * g_.dst_pixel});
    }
  }

  /// Calls f(rows) for the pixels of every row that the copy holds.
  template <class F>
  void for_image_rows(F&& f) const {
    for (int64_t row = 0; row * g_.pitch < g_.positions; ++row) {
      const int64_t at = g_.row_begin + row, y = at % g_.rows, image = at / g_.rows;
      if (y >= g_.oh) continue;
      for (int64_t x = 0; x < g_.ow; x += kRows)
        f(Rows{g_.a + (row * g_.pitch + x) * g_.a_stride, 0, g_.ow - x < kRows ? g_.ow - x : kRows,
               ((image * g_.oh + y) * g_.ow + x) * g_.dst_pixel});
    }
  }

  void panels(const Rows& rows, const ConvRange& r) {
    const int64_t index = r.group * g_.panels + r.panel_begin;
    Operands of{rows.a + r.group * g_.group_bytes, g_.b + index * g_.panel_bytes,
                g_.finish.start + index * kColumns, offsets_};
    int64_t column = r.panel_begin * kColumns;
    for (int64_t panel = r.panel_begin; panel < r.panel_end; ++panel) {
      advance(of);
      fetch_lines(r.fetch);
      const int64_t left = g_.outputs - column;
      Block& block = blocks_[turn_];
      block.rows = rows;
      block.columns = left < kColumns ? left : kColumns;
      block.channel = r.group * g_.outputs + column;
      block.at = of.start - g_.finish.start;
      turn_ ^= 1;
      of.b += g_.panel_bytes;
      of.start += kColumns;
      column += kColumns;
    }
  }

  /// What is in c, then what is in tiles.
  void finish() {
    finish_stored();
    turn_ != 0 ? store_sums<0>(c_) : store_sums<1>(c_);
    turn_ ^= 1;
    finish_stored();
  }

 private:
  /// The block whose sums are in c: it was computed two turns ago.
  const Block& stored() const { return blocks_[turn_]; }

  void advance(const Operands& of) {
    const Block& block = stored();
    if (block.rows.count == kRows) {
      (block.columns == kColumns ? wide_ : narrow_).turn[turn_](g_, of, block, c_);
    } else {
      finish_stored();
      alone_.turn[turn_](g_, of, block, c_);
    }
  }

  void finish_stored() {
    const Block& block = stored();
    if (block.rows.count == 0) return;
    const DenseRows<kColumns> rows(block.rows.count, block.rows.skipped * kColumns, block.rows.element,
                                   g_.dst_pixel);
    const S8Sums sums{c_, block.columns, block.channel, block.at};
    with_s8_pairs<S8Sum::on_float, DenseRows<kColumns>>(
        g_.finish, block.columns, [&]<class Pairs>() { Pairs(g_.finish, rows, sums).rest(); });
  }

  alignas(64) int32_t c_[kRows * kColumns];
  const S8Args& g_;
  int64_t offsets_[kMaxSteps] = {};
  Steps wide_{}, narrow_{}, alone_{};  // for blocks of all columns, of some, and where no whole block waits
  Block blocks_[2];
  int turn_ = 0;
};

}  // namespace

void s8_shallow_task_amx(const S8Args& g, const ConvRange& r) {
  _tile_loadconfig(&kConfig);
  Shallow shallow(g);
  constexpr int64_t kBlock = 32;  // positions of the range's blocks
  const int64_t limit = r.block_end * kBlock, end = limit < g.positions ? limit : g.positions;
  const int64_t at_once = r.panels_outside ? 1 : r.panel_end - r.panel_begin;
  for (ConvRange part = r; part.panel_begin < r.panel_end; part.panel_begin += at_once) {
    part.panel_end = part.panel_begin + at_once;
    const auto multiply_panels = [&](const Rows& rows) { shallow.panels(rows, part); };
    if (g.dense)
      shallow.for_dense_rows(r.block_begin * kBlock, end, multiply_panels);
    else
      shallow.for_image_rows(multiply_panels);
  }
  shallow.finish();
  _tile_release();
}

}  // namespace narrow::kernels
