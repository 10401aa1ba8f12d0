// The vector functions of vmath.h over arrays: y[i] = f(x[i]), 0 <= i < n; y may be x.
// The caller makes sure that usable_isa() covers the function's suffix.
#pragma once

#include <cstdint>

#include "kernels/activation.h"

namespace narrow::kernels {

void exp_avx512(const float* x, float* y, int64_t n);
void expm1_avx512(const float* x, float* y, int64_t n);
void erf_avx512(const float* x, float* y, int64_t n);
void activate_avx512(const Activation& activation, const float* x, float* y, int64_t n);

void exp_avx2(const float* x, float* y, int64_t n);
void expm1_avx2(const float* x, float* y, int64_t n);
void erf_avx2(const float* x, float* y, int64_t n);
void activate_avx2(const Activation& activation, const float* x, float* y, int64_t n);

}  // namespace narrow::kernels
