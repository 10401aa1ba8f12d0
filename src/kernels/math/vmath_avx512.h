// vmath.h for __m512: 16 floats at a time. Include from kernel files compiled with the flags of _avx512 and
// above only.
#pragma once

#include "kernels/math/simd_avx512.h"
#include "kernels/math/vmath.h"

namespace narrow::kernels {
namespace {

inline __m512 vexp(__m512 x) { return exp_v<Simd512>(x); }
inline __m512 vexpm1(__m512 x) { return expm1_v<Simd512>(x); }
inline __m512 vtanh(__m512 x) { return tanh_v<Simd512>(x); }
inline __m512 verf(__m512 x) { return erf_v<Simd512>(x); }
inline __m512 vsigmoid(__m512 x) { return sigmoid_v<Simd512>(x); }
inline __m512 vgelu(__m512 x) { return gelu_v<Simd512>(x); }
inline __m512 vsilu(__m512 x) { return _mm512_mul_ps(x, vsigmoid(x)); }

/// apply() of kernels/activation.h; errors as listed in vmath.h.
inline __m512 vapply(const Activation& activation, __m512 x) { return apply_v<Simd512>(activation, x); }

}  // namespace
}  // namespace narrow::kernels
