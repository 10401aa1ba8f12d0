#include "kernels/softmax/softmax.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/aligned.h"
#include "kernels/lanes/lanes.h"
#include "kernels/softmax/row.h"

namespace narrow::kernels {
namespace {

/// Narrow rows are converted and computed together.
int64_t rows_at_once(const SoftmaxSpec& spec) { return spec.columns <= kSoftmaxNarrow ? 256 : 1; }

int64_t block_bytes(const SoftmaxSpec& spec) {
  return round_up(rows_at_once(spec) * spec.columns * 4, kCacheLine);
}

void softmax_block(const float* x, int64_t rows, int64_t n, bool log, float* y, Isa isa) {
  if (n <= kSoftmaxNarrow && isa >= Isa::avx2)
    return (isa >= Isa::avx512 ? softmax_rows_avx512 : softmax_rows_avx2)(x, rows, n, log, y);
  const auto kernel = isa >= Isa::avx512 ? softmax_row_avx512
                      : isa >= Isa::avx2 ? softmax_row_avx2
                                         : softmax_row_plain;
  for (int64_t r = 0; r < rows; ++r) kernel(x + r * n, n, log, y + r * n);
}

void softmax_rows(const SoftmaxSpec& spec, const void* src, void* dst, float* scratch, int64_t begin,
                  int64_t end, Isa isa) {
  const int64_t step = rows_at_once(spec);
  for (int64_t r = begin; r < end; r += step) {
    const int64_t rows = std::min(step, end - r), first = r * spec.columns, count = rows * spec.columns;
    const float* x = run_as_f32(spec.src, src, first, count, scratch, isa);
    float* y = run_to_f32(spec.dst, dst, first, scratch);
    softmax_block(x, rows, spec.columns, spec.log, y, isa);
    if (spec.dst.type != DType::f32) store_run(spec.dst, y, dst, first, count, isa);
  }
}

}  // namespace

int64_t softmax_scratch_bytes(const SoftmaxSpec& spec, int threads) { return block_bytes(spec) * threads; }

void softmax(const SoftmaxSpec& spec, const void* src, void* dst, void* scratch, Isa isa, ThreadPool& pool) {
  if (spec.rows == 0 || spec.columns == 0) return;
  // One piece per thread: each has its own block of scratch.
  const int64_t share = div_up(spec.rows, std::min<int64_t>(spec.rows, pool.threads()));
  parallel_for(pool, spec.rows, share, [&](int64_t begin, int64_t end) {
    auto* own = static_cast<uint8_t*>(scratch) + begin / share * block_bytes(spec);
    softmax_rows(spec, src, dst, reinterpret_cast<float*>(own), begin, end, isa);
  });
}

void softmax_row_plain(const float* x, int64_t n, bool log, float* y) {
  float largest = -std::numeric_limits<float>::infinity(), sum = 0;
  for (int64_t i = 0; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  for (int64_t i = 0; i < n; ++i) {
    const float e = std::exp(x[i] - largest);
    sum += e;
    y[i] = log ? x[i] - largest : e;
  }
  const float log_sum = std::log(sum);
  for (int64_t i = 0; i < n; ++i) y[i] = log ? y[i] - log_sum : y[i] / sum;
}

}  // namespace narrow::kernels
