// vmath.h for __m256: 8 floats at a time. Include from kernel files compiled with the flags of _avx2 and
// above only.
#pragma once

#include "kernels/math/simd_avx2.h"
#include "kernels/math/vmath.h"

namespace narrow::kernels {
namespace {

inline __m256 vexp(__m256 x) { return exp_v<Simd256>(x); }
inline __m256 vexpm1(__m256 x) { return expm1_v<Simd256>(x); }
inline __m256 vtanh(__m256 x) { return tanh_v<Simd256>(x); }
inline __m256 verf(__m256 x) { return erf_v<Simd256>(x); }
inline __m256 vsigmoid(__m256 x) { return sigmoid_v<Simd256>(x); }
inline __m256 vgelu(__m256 x) { return gelu_v<Simd256>(x); }
inline __m256 vsilu(__m256 x) { return _mm256_mul_ps(x, vsigmoid(x)); }

/// apply() of kernels/activation.h; errors as listed in vmath.h.
inline __m256 vapply(const Activation& activation, __m256 x) { return apply_v<Simd256>(activation, x); }

}  // namespace
}  // namespace narrow::kernels
