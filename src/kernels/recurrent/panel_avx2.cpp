// y[0, 64) += panel x: eight accumulators stay in registers, each column's 64 rows lie together.
#include <immintrin.h>

#include "kernels/recurrent/panel.h"

namespace narrow::kernels {

void add_panel_avx2(const float* panel, int64_t columns, const float* x, float* y) {
  __m256 sums[8];
  for (int i = 0; i < 8; ++i) sums[i] = _mm256_loadu_ps(y + 8 * i);
  for (int64_t column = 0; column < columns; ++column, panel += kPanelRows) {
    const __m256 v = _mm256_set1_ps(x[column]);
    for (int i = 0; i < 8; ++i) sums[i] = _mm256_fmadd_ps(_mm256_loadu_ps(panel + 8 * i), v, sums[i]);
  }
  for (int i = 0; i < 8; ++i) _mm256_storeu_ps(y + 8 * i, sums[i]);
}

}  // namespace narrow::kernels
