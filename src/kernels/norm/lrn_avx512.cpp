// Powers by reciprocal square roots: vrsqrt14ps and one Newton step, 5 instructions where a root and a
// division occupy the divider for 40 cycles.
#include "kernels/lanes/lanes_avx512.h"
#include "kernels/norm/lrn_row.h"

namespace narrow::kernels {
namespace {

/// x^-1/2 of normal x, relatively off by at most 3 * 2^-24: 1.5 * 2^-28 of the step, the rest of rounding.
inline __m512 inverse_root(__m512 x) {
  const __m512 half = _mm512_set1_ps(0.5F), r = _mm512_rsqrt14_ps(x);
  const __m512 error = _mm512_fnmadd_ps(_mm512_mul_ps(_mm512_mul_ps(x, half), r), r, half);
  return _mm512_fmadd_ps(r, error, r);
}

template <LrnPower kPower>
inline __m512 inverse_power(__m512 base) {
  if constexpr (kPower == LrnPower::one) return _mm512_div_ps(_mm512_set1_ps(1), base);
  const __m512 r = inverse_root(base);
  if constexpr (kPower == LrnPower::half) return r;
  return _mm512_mul_ps(_mm512_mul_ps(r, r), inverse_root(r));  // b^-1 * b^1/4
}

template <LrnPower kPower>
void run_lanes(const LrnRun& run) {
  const __m512 bias = _mm512_set1_ps(run.bias), factor = _mm512_set1_ps(run.factor);
  const __m512 least = _mm512_set1_ps(0x1p-126F), most = _mm512_set1_ps(0x1p126F);
  for (int64_t i = 0; i < run.n; i += 16) {
    __m512 sum = _mm512_loadu_ps(run.squares + i);
    for (int64_t j = 1; j < run.size; ++j) sum = _mm512_add_ps(sum, _mm512_loadu_ps(run.squares + i + j));
    // A NaN passes: the second operand wins.
    const __m512 base = _mm512_min_ps(most, _mm512_max_ps(least, _mm512_fmadd_ps(sum, factor, bias)));
    const __mmask16 live = first_lanes16(run.n - i);
    const __m512 x = _mm512_maskz_loadu_ps(live, run.x + i);
    _mm512_mask_storeu_ps(run.y + i, live, _mm512_mul_ps(x, inverse_power<kPower>(base)));
  }
}

}  // namespace

void square_run_avx512(const float* x, int64_t n, float* squares) {
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = first_lanes16(n - i);
    const __m512 v = _mm512_maskz_loadu_ps(live, x + i);
    _mm512_mask_storeu_ps(squares + i, live, _mm512_mul_ps(v, v));
  }
}

void lrn_run_avx512(const LrnRun& run) {
  switch (lrn_power(run.beta)) {
    case LrnPower::half:
      return run_lanes<LrnPower::half>(run);
    case LrnPower::three_quarters:
      return run_lanes<LrnPower::three_quarters>(run);
    case LrnPower::one:
      return run_lanes<LrnPower::one>(run);
  }
}

}  // namespace narrow::kernels
