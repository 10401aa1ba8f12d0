#include "kernels/quantize/rows.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/aligned.h"
#include "kernels/quantize/code_runs.h"
#include "kernels/statistics/statistics.h"

namespace narrow::kernels {
namespace {

constexpr int64_t kTask = 16 << 10;  // elements worth a thread
constexpr int32_t kCentre = 128;

/// The largest magnitude, 0 of nothing; NaN when an element is not finite.
float magnitude(const float* x, int64_t n, Isa isa) {
  if (n == 0) return 0;
  const Extent e = extent_of(x, n, isa);
  if (e.finite < n) return std::numeric_limits<float>::quiet_NaN();
  return std::max(std::fabs(e.min), std::fabs(e.max));
}

float scale_of(const RowsSpec& spec, float largest) {
  if (std::isnan(largest)) return largest;
  return std::max(largest * spec.step, spec.tiny);
}

void code_row(const float* x, uint8_t* codes, int64_t n, const float* scale, Isa isa) {
  quantize_run({DType::f32, DType::u8, x, codes, n, scale, &kCentre, false}, isa);
}

/// A few long rows: each is shared by all threads.
void quantize_long_row(const RowsSpec& spec, const float* x, uint8_t* codes, float* scale, Isa isa,
                       ThreadPool& pool) {
  constexpr int64_t kPieces = 64;  // fixed, so that no allocation depends on the size
  float largest[kPieces] = {};
  const int64_t grain = std::max(kTask, div_up(spec.columns, kPieces));
  parallel_for(pool, spec.columns, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += grain)
      largest[i / grain] = magnitude(x + i, std::min(grain, end - i), isa);
  });
  float most = 0;
  for (const float m : largest) most = m > most || std::isnan(m) ? m : most;  // NaN stays: nothing is greater
  *scale = scale_of(spec, most);
  parallel_for(pool, spec.columns, kTask, [&](int64_t begin, int64_t end) {
    code_row(x + begin, codes + begin, end - begin, scale, isa);
  });
}

}  // namespace

void quantize_rows(const RowsSpec& spec, const float* x, uint8_t* codes, float* scale, Isa isa,
                   ThreadPool& pool) {
  if (spec.columns >= 2 * kTask && spec.rows < 2 * pool.threads()) {
    for (int64_t r = 0; r < spec.rows; ++r)
      quantize_long_row(spec, x + r * spec.columns, codes + r * spec.columns, scale + r, isa, pool);
    return;
  }
  const int64_t grain = std::max<int64_t>(1, kTask / std::max<int64_t>(1, spec.columns));
  parallel_for(pool, spec.rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      scale[r] = scale_of(spec, magnitude(x + r * spec.columns, spec.columns, isa));
      code_row(x + r * spec.columns, codes + r * spec.columns, spec.columns, scale + r, isa);
    }
  });
}

}  // namespace narrow::kernels
