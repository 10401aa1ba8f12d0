#include "kernels/math/array_math.h"
#include "kernels/math/vmath_avx2.h"

namespace narrow::kernels {
namespace {

template <class Function>
inline void map(const float* x, float* y, int64_t n, Function function) {
  constexpr int64_t kLanes = Simd256::kLanes;
  for (int64_t i = 0; i < n; i += kLanes) {
    const auto live = Simd256::first(n - i < kLanes ? n - i : kLanes);
    Simd256::store(y + i, live, function(Simd256::load(x + i, live)));
  }
}

}  // namespace

void exp_avx2(const float* x, float* y, int64_t n) {
  map(x, y, n, [](auto v) { return vexp(v); });
}
void expm1_avx2(const float* x, float* y, int64_t n) {
  map(x, y, n, [](auto v) { return vexpm1(v); });
}
void erf_avx2(const float* x, float* y, int64_t n) {
  map(x, y, n, [](auto v) { return verf(v); });
}
void activate_avx2(const Activation& activation, const float* x, float* y, int64_t n) {
  map(x, y, n, [&activation](auto v) { return vapply(activation, v); });
}

}  // namespace narrow::kernels
