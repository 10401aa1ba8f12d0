// Powers by roots and a division: vrsqrtps, of 12 bits, would want two Newton steps.
#include "kernels/lanes/lanes_avx2.h"
#include "kernels/norm/lrn_row.h"

namespace narrow::kernels {
namespace {

template <LrnPower kPower>
inline __m256 power(__m256 base) {
  if constexpr (kPower == LrnPower::one) return base;
  const __m256 root = _mm256_sqrt_ps(base);
  if constexpr (kPower == LrnPower::half) return root;
  return _mm256_sqrt_ps(_mm256_mul_ps(base, root));
}

template <LrnPower kPower>
void run_lanes(const LrnRun& run) {
  const __m256 bias = _mm256_set1_ps(run.bias), factor = _mm256_set1_ps(run.factor);
  for (int64_t i = 0; i < run.n; i += 8) {
    __m256 sum = _mm256_loadu_ps(run.squares + i);
    for (int64_t j = 1; j < run.size; ++j) sum = _mm256_add_ps(sum, _mm256_loadu_ps(run.squares + i + j));
    const __m256 base = _mm256_fmadd_ps(sum, factor, bias);
    const __m256i live = first_lanes8(run.n - i);
    const __m256 x = _mm256_maskload_ps(run.x + i, live);
    _mm256_maskstore_ps(run.y + i, live, _mm256_div_ps(x, power<kPower>(base)));
  }
}

}  // namespace

void square_run_avx2(const float* x, int64_t n, float* squares) {
  for (int64_t i = 0; i < n; i += 8) {
    const __m256i live = first_lanes8(n - i);
    const __m256 v = _mm256_maskload_ps(x + i, live);
    _mm256_maskstore_ps(squares + i, live, _mm256_mul_ps(v, v));
  }
}

void lrn_run_avx2(const LrnRun& run) {
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
