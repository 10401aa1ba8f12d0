// y[0, 64) += panel x: four accumulators stay in registers, each column's 64 rows lie together.
#include <immintrin.h>

#include "kernels/recurrent/panel.h"

namespace narrow::kernels {

void add_panel_avx512(const float* panel, int64_t columns, const float* x, float* y) {
  __m512 a0 = _mm512_loadu_ps(y), a1 = _mm512_loadu_ps(y + 16), a2 = _mm512_loadu_ps(y + 32),
         a3 = _mm512_loadu_ps(y + 48);
  for (int64_t column = 0; column < columns; ++column, panel += kPanelRows) {
    const __m512 v = _mm512_set1_ps(x[column]);
    a0 = _mm512_fmadd_ps(_mm512_loadu_ps(panel), v, a0);
    a1 = _mm512_fmadd_ps(_mm512_loadu_ps(panel + 16), v, a1);
    a2 = _mm512_fmadd_ps(_mm512_loadu_ps(panel + 32), v, a2);
    a3 = _mm512_fmadd_ps(_mm512_loadu_ps(panel + 48), v, a3);
  }
  _mm512_storeu_ps(y, a0);
  _mm512_storeu_ps(y + 16, a1);
  _mm512_storeu_ps(y + 32, a2);
  _mm512_storeu_ps(y + 48, a3);
}

}  // namespace narrow::kernels
