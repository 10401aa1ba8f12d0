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

/// Channels [begin, end) of one row, at most kRun - kMostLrnSize of them.
void segment(const LrnSpec& spec, const void* src, void* dst, int64_t row, int64_t begin, int64_t end,
             Isa isa) {
  alignas(64) float x_buffer[kRun], squares[kRun + 16], y_buffer[kRun];
  const int64_t before = (spec.size - 1) / 2, after = spec.size - 1 - before, n = end - begin;
  const int64_t first = std::max<int64_t>(0, begin - before), last = std::min(spec.channels, end + after);
  const float* x = run_as_f32(spec.src, src, row * spec.channels + first, last - first, x_buffer, isa);
  const int64_t lead = first - (begin - before);  // channels that do not exist count as 0
  std::fill_n(squares, lead, 0.0F);
  (isa >= Isa::avx512 ? square_run_avx512 : square_run_plain)(x, last - first, squares + lead);
  std::fill(squares + lead + (last - first), squares + n + spec.size + 15, 0.0F);
  float* y = run_to_f32(spec.dst, dst, row * spec.channels + begin, y_buffer);
  const LrnRun run = {x + (begin - first),
                      squares,
                      y,
                      n,
                      spec.size,
                      spec.bias,
                      spec.alpha / static_cast<float>(spec.size),
                      spec.beta};
  const bool has_roots = spec.beta == 0.75F || spec.beta == 0.5F || spec.beta == 1.0F;
  isa >= Isa::avx512&& has_roots ? lrn_run_avx512(run) : lrn_run_plain(run);
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
  const int64_t grain = std::max<int64_t>(1, 16 * kRun / std::max<int64_t>(1, spec.channels));
  parallel_for(pool, spec.rows, grain, [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row)
      for (int64_t c = 0; c < spec.channels; c += kSegment)
        segment(spec, src, dst, row, c, std::min(spec.channels, c + kSegment), isa);
  });
}

}  // namespace narrow::kernels
