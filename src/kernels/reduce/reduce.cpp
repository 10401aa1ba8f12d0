#include "kernels/reduce/reduce.h"

#include <algorithm>
#include <cmath>

#include "base/aligned.h"
#include "kernels/reduce/runs.h"

namespace narrow::kernels {
namespace {

constexpr int64_t kTile = 256;        // columns of one task: a kilobyte of each row
constexpr int64_t kTask = 1 << 14;    // floats worth a task of their own
constexpr int64_t kEnoughTasks = 64;  // for any number of threads
constexpr int64_t kFewestRows = 32;   // of a part

Gather gather_of(Reduction kind) {
  switch (kind) {
    case Reduction::l1:
      return Gather::magnitudes;
    case Reduction::l2:
    case Reduction::sum_square:
      return Gather::squares;
    case Reduction::max:
      return Gather::max;
    case Reduction::min:
      return Gather::min;
    default:
      return Gather::sum;
  }
}

float finish(const ReduceSpec& spec, double acc) {
  if (spec.kind == Reduction::mean) acc /= static_cast<double>(spec.reduced);
  if (spec.kind == Reduction::l2) acc = std::sqrt(acc);
  return static_cast<float>(acc);
}

/// How a reduction is cut: each [part] of the rows of each tile of columns is a piece.
struct Pieces {
  int64_t tiles, parts, rows;  // rows of a part

  /// Of the spec alone: threads must not change the order of a sum.
  explicit Pieces(const ReduceSpec& s) : tiles(div_up(s.inner, kTile)), parts(1), rows(s.reduced) {
    const int64_t whole = s.outer * tiles, of_one = s.reduced * std::min(s.inner, kTile);
    if (whole >= kEnoughTasks) return;
    parts = std::clamp<int64_t>(of_one / kTask, 1, kEnoughTasks);
    parts = std::max<int64_t>(1, std::min(parts, s.reduced / kFewestRows));
    rows = div_up(s.reduced, parts);
    parts = div_up(s.reduced, std::max<int64_t>(rows, 1));
    parts = std::max<int64_t>(parts, 1);
  }
};

struct Kernels {
  double (*row)(Gather, const float*, int64_t);
  void (*columns)(Gather, const Columns&);
};
Kernels kernels_for(Isa isa) {
  if (isa >= Isa::avx512) return {gather_row_avx512, gather_columns_avx512};
  if (isa >= Isa::avx2) return {gather_row_avx2, gather_columns_avx2};
  return {gather_row_plain, gather_columns_plain};
}

}  // namespace

const char* to_string(Reduction kind) {
  constexpr const char* kNames[] = {"sum", "mean", "l1", "l2", "sum_square", "max", "min"};
  return kNames[static_cast<int>(kind)];
}

int64_t reduce_scratch_bytes(const ReduceSpec& spec) {
  const Pieces pieces(spec);
  return pieces.parts == 1 ? 0
                           : pieces.parts * spec.outer * spec.inner * static_cast<int64_t>(sizeof(double));
}

void reduce(const ReduceSpec& spec, const float* x, float* y, void* scratch, Isa isa, ThreadPool& pool) {
  const Pieces pieces(spec);
  const Kernels kernels = kernels_for(isa);
  const Gather gather = gather_of(spec.kind);
  const int64_t results = spec.outer * spec.inner;
  auto* parts = static_cast<double*>(scratch);  // [part][outer][inner]
  const auto run = [&](int64_t piece) {
    const int64_t part = piece % pieces.parts, tile = piece / pieces.parts % pieces.tiles,
                  outer = piece / pieces.parts / pieces.tiles;
    const int64_t row = part * pieces.rows, rows = std::min(pieces.rows, spec.reduced - row),
                  first = tile * kTile, columns = std::min(kTile, spec.inner - first),
                  result = outer * spec.inner + first;
    const float* at = x + (outer * spec.reduced + row) * spec.inner + first;
    double sums[kTile];
    if (spec.inner == 1)
      sums[0] = kernels.row(gather, at, rows);
    else
      kernels.columns(gather, {at, rows, spec.inner, columns, sums});
    for (int64_t i = 0; i < columns; ++i) {
      if (pieces.parts == 1)
        y[result + i] = finish(spec, sums[i]);
      else
        parts[part * results + result + i] = sums[i];
    }
  };
  const int64_t of_one = std::max<int64_t>(1, pieces.rows * std::min(spec.inner, kTile));
  parallel_for(pool, spec.outer * pieces.tiles * pieces.parts, std::max<int64_t>(1, kTask / of_one),
               [&](int64_t begin, int64_t end) {
                 for (int64_t piece = begin; piece < end; ++piece) run(piece);
               });
  for (int64_t i = 0; pieces.parts > 1 && i < results; ++i) {
    double acc = parts[i];
    for (int64_t part = 1; part < pieces.parts; ++part)
      acc = gather_two(gather, acc, parts[part * results + i]);
    y[i] = finish(spec, acc);
  }
}

double gather_row_plain(Gather kind, const float* x, int64_t n) {
  double acc = gather_start(kind);
  for (int64_t i = 0; i < n; ++i) acc = gather_one(kind, acc, x[i]);
  return acc;
}

void gather_columns_plain(Gather kind, const Columns& c) {
  std::fill_n(c.result, c.columns, gather_start(kind));
  for (int64_t r = 0; r < c.rows; ++r)
    for (int64_t i = 0; i < c.columns; ++i)
      c.result[i] = gather_one(kind, c.result[i], c.x[r * c.stride + i]);
}

}  // namespace narrow::kernels
