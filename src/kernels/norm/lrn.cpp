#include "kernels/norm/lrn.h"

#include <algorithm>
#include <cmath>

#include "kernels/lanes/element.h"
#include "kernels/lanes/lanes.h"
#include "kernels/norm/lrn_row.h"

namespace narrow::kernels {
namespace {

/// y[i] = x[i] * base[i]^-beta. Straight loops, which the compiler turns into vectors.
__attribute__((optimize("O3", "no-math-errno"))) void scale_by_power(const float* x, const float* base,
                                                                     float beta, int64_t n, float* y) {
  if (beta == 0.75F)
    for (int64_t i = 0; i < n; ++i) y[i] = x[i] / std::sqrt(base[i] * std::sqrt(base[i]));
  else if (beta == 0.5F)
    for (int64_t i = 0; i < n; ++i) y[i] = x[i] / std::sqrt(base[i]);
  else if (beta == 1.0F)
    for (int64_t i = 0; i < n; ++i) y[i] = x[i] / base[i];
  else
    for (int64_t i = 0; i < n; ++i) y[i] = x[i] * std::pow(base[i], -beta);
}

/// base[i] = bias + factor * (squares[i] + ... + squares[i + size - 1])
__attribute__((optimize("O3"))) void windows(const float* squares, int64_t size, float bias, float factor,
                                             int64_t n, float* base) {
  for (int64_t i = 0; i < n; ++i) base[i] = squares[i];
  for (int64_t j = 1; j < size; ++j)
    for (int64_t i = 0; i < n; ++i) base[i] += squares[i + j];
  for (int64_t i = 0; i < n; ++i) base[i] = bias + factor * base[i];
}

/// A block of the source in FP32, its squares with zeros for the channels that do not exist, its results.
struct Buffers {
  alignas(64) float x[kRun], squares[kRun + 16], y[kRun];
};

void square(const float* x, int64_t n, float* squares, Isa isa) {
  const auto run = isa >= Isa::avx512 ? square_run_avx512
                   : isa >= Isa::avx2 ? square_run_avx2
                                      : square_run_plain;
  run(x, n, squares);
}

void normalize(const LrnSpec& spec, const float* x, const float* squares, float* y, int64_t n, Isa isa) {
  const float factor = spec.alpha / static_cast<float>(spec.size);
  const LrnRun run = {x, squares, y, n, spec.size, spec.bias, factor, spec.beta};
  if (!is_root(spec.beta) || isa < Isa::avx2) return lrn_run_plain(run);
  (isa >= Isa::avx512 ? lrn_run_avx512 : lrn_run_avx2)(run);
}

/// How many rows fit the buffers.
int64_t rows_at_once(const LrnSpec& spec) {
  return (kRun - (spec.size - 1)) / (spec.channels + spec.size - 1);
}

/// As many rows as fit: their squares are all written before the first window reads some, which a processor
/// that has just written them would wait for.
void whole_rows(const LrnSpec& spec, const void* src, void* dst, int64_t row, int64_t rows, Isa isa) {
  Buffers b;
  const int64_t channels = spec.channels, at = row * channels, gap = spec.size - 1,
                pitch = channels + gap;  // zeros behind a row are those before the next one
  const float* x = run_as_f32(spec.src, src, at, rows * channels, b.x, isa);
  float* squares = std::fill_n(b.squares, gap / 2, 0.0F);
  for (int64_t r = 0; r < rows; ++r) {
    square(x + r * channels, channels, squares, isa);
    squares = std::fill_n(squares + channels, gap, 0.0F);
  }
  std::fill_n(squares, 16, 0.0F);
  float* y = run_to_f32(spec.dst, dst, at, b.y);
  for (int64_t r = 0; r < rows; ++r)
    normalize(spec, x + r * channels, b.squares + r * pitch, y + r * channels, channels, isa);
  if (spec.dst.type != DType::f32) store_run(spec.dst, y, dst, at, rows * channels, isa);
}

/// Channels [begin, end) of one row, at most kRun - kMostLrnSize of them.
void segment(const LrnSpec& spec, const void* src, void* dst, int64_t row, int64_t begin, int64_t end,
             Isa isa) {
  Buffers b;
  const int64_t before = (spec.size - 1) / 2, after = spec.size - 1 - before, n = end - begin;
  const int64_t first = std::max<int64_t>(0, begin - before), last = std::min(spec.channels, end + after);
  const float* x = run_as_f32(spec.src, src, row * spec.channels + first, last - first, b.x, isa);
  float* squares = std::fill_n(b.squares, first - (begin - before), 0.0F);
  square(x, last - first, squares, isa);
  std::fill(squares + (last - first), b.squares + n + spec.size + 15, 0.0F);
  float* y = run_to_f32(spec.dst, dst, row * spec.channels + begin, b.y);
  normalize(spec, x + (begin - first), b.squares, y, n, isa);
  if (spec.dst.type != DType::f32) store_run(spec.dst, y, dst, row * spec.channels + begin, n, isa);
}

}  // namespace

void square_run_plain(const float* x, int64_t n, float* squares) {
  for (int64_t i = 0; i < n; ++i) squares[i] = x[i] * x[i];
}

void lrn_run_plain(const LrnRun& run) {
  float base[kRun];
  windows(run.squares, run.size, run.bias, run.factor, run.n, base);
  scale_by_power(run.x, base, run.beta, run.n, run.y);
}

void lrn_reference(const LrnSpec& spec, const void* src, void* dst) {
  const int64_t before = (spec.size - 1) / 2, after = spec.size - 1 - before;
  for (int64_t row = 0; row < spec.rows; ++row)
    for (int64_t c = 0; c < spec.channels; ++c) {
      double sum = 0;
      for (int64_t j = std::max<int64_t>(0, c - before); j <= std::min(spec.channels - 1, c + after); ++j) {
        const double x = load_real(spec.src, src, row * spec.channels + j);
        sum += x * x;
      }
      const int64_t at = row * spec.channels + c;
      const double base = spec.bias + static_cast<double>(spec.alpha) / static_cast<double>(spec.size) * sum;
      store_real(spec.dst, dst, at,
                 static_cast<float>(load_real(spec.src, src, at) / std::pow(base, spec.beta)));
    }
}

void lrn(const LrnSpec& spec, const void* src, void* dst, Isa isa, ThreadPool& pool) {
  constexpr int64_t kSegment = kRun - kMostLrnSize;
  if (spec.channels == 0) return;
  const int64_t at_once = rows_at_once(spec);
  const int64_t grain = std::max<int64_t>(1, 16 * kRun / std::max<int64_t>(1, spec.channels));
  parallel_for(pool, spec.rows, grain, [&](int64_t first, int64_t end) {
    if (at_once > 1) {
      for (int64_t row = first; row < end; row += at_once)
        whole_rows(spec, src, dst, row, std::min(at_once, end - row), isa);
      return;
    }
    for (int64_t row = first; row < end; ++row)
      for (int64_t c = 0; c < spec.channels; c += kSegment)
        segment(spec, src, dst, row, c, std::min(spec.channels, c + kSegment), isa);
  });
}

}  // namespace narrow::kernels
