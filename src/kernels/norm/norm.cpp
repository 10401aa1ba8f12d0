#include "kernels/norm/norm.h"

#include <algorithm>
#include <cmath>

#include "base/aligned.h"
#include "kernels/elementwise/runs.h"
#include "kernels/lanes/lanes.h"
#include "kernels/norm/row.h"

namespace narrow::kernels {
namespace {

int64_t row_bytes(const NormSpec& spec) { return round_up(spec.columns * 4, kCacheLine); }

/// x = src + residual for one row, in `x`; and to b.sum.
void gather_row(const NormSpec& spec, const NormBuffers& b, int64_t row, float* x, Isa isa) {
  alignas(64) float buffer[kRun];
  const int64_t first = row * spec.columns;
  for (int64_t i = 0; i < spec.columns; i += kRun) {
    const int64_t n = std::min(kRun, spec.columns - i);
    load_run(spec.src, b.src, first + i, n, x + i, isa);
    if (spec.residual != DType::undefined) {
      const float* residual = run_as_f32({spec.residual, {}}, b.residual, first + i, n, buffer, isa);
      binary_run(Binary::add, x + i, residual, nullptr, x + i, n, isa);
    }
    if (spec.sum != DType::undefined) store_run({spec.sum, {}}, x + i, b.sum, first + i, n, isa);
  }
}

void norm_rows(const NormSpec& spec, const NormBuffers& b, float* scratch, int64_t begin, int64_t end,
               Isa isa) {
  const auto kernel = isa >= Isa::avx512 ? norm_row_avx512
                      : isa >= Isa::avx2 ? norm_row_avx2
                                         : norm_row_plain;
  const bool direct =
      spec.src.type == DType::f32 && spec.residual == DType::undefined && spec.sum == DType::undefined;
  for (int64_t r = begin; r < end; ++r) {
    const float* x = static_cast<const float*>(b.src) + r * spec.columns;
    if (!direct) {
      gather_row(spec, b, r, scratch, isa);
      x = scratch;
    }
    float* y = run_to_f32(spec.dst, b.dst, r * spec.columns, scratch);
    kernel({x, y, spec.columns, b.gamma, b.beta, spec.epsilon, spec.rms});
    if (spec.dst.type != DType::f32) store_run(spec.dst, y, b.dst, r * spec.columns, spec.columns, isa);
  }
}

}  // namespace

int64_t norm_scratch_bytes(const NormSpec& spec, int threads) { return row_bytes(spec) * threads; }

void norm(const NormSpec& spec, const NormBuffers& buffers, Isa isa, ThreadPool& pool) {
  if (spec.rows == 0 || spec.columns == 0) return;
  // One piece per thread: each has its own row of scratch.
  const int64_t share = div_up(spec.rows, std::min<int64_t>(spec.rows, pool.threads()));
  parallel_for(pool, spec.rows, share, [&](int64_t begin, int64_t end) {
    auto* scratch = static_cast<uint8_t*>(buffers.scratch) + begin / share * row_bytes(spec);
    norm_rows(spec, buffers, reinterpret_cast<float*>(scratch), begin, end, isa);
  });
}

void norm_row_plain(const NormRow& row) {
  float mean = 0, spread = 0;
  const auto n = static_cast<float>(row.n);
  for (int64_t i = 0; i < row.n && !row.rms; ++i) mean += row.x[i];
  mean /= n;
  for (int64_t i = 0; i < row.n; ++i) spread += (row.x[i] - mean) * (row.x[i] - mean);
  const float inverse = 1.0F / std::sqrt(spread / n + row.epsilon);
  for (int64_t i = 0; i < row.n; ++i) {
    float y = (row.x[i] - mean) * inverse;
    if (row.gamma != nullptr) y *= row.gamma[i];
    if (row.beta != nullptr) y += row.beta[i];
    row.y[i] = y;
  }
}

}  // namespace narrow::kernels
