// The functions of kernels/activation.h and exp, expm1, erf, tanh for vectors of floats. V is Simd512 or
// Simd256; the formulas are the same, so both give the same bits.
//
// Largest errors against double (array_math_test.cpp walks the ranges and holds them):
//   exp      1 ulp in [-87.3, 88.7], exact 0 and Inf beyond the range, 1 ulp of 2^-126 in the subnormals
//   expm1    2 ulp         tanh  3 ulp         elu  2 ulp
//   erf      1.5e-7 absolute; gelu, gelu_tanh 1.5e-7 * max(1, |x|)
//   sigmoid  3 ulp above -87, then at most 2^-126 away; silu 3 ulp, mish 4 ulp above -87
// none, relu, clip, leaky_relu, hard_sigmoid and hard_swish equal apply() bit for bit. NaN in gives NaN out
// (except hard_sigmoid, which gives what apply() gives).
//
// These are templates over types of unnamed namespaces: each including file has its own.
#pragma once

#include "kernels/activation.h"

namespace narrow::kernels {
namespace {

/// exp(r) - 1 for |r| <= ln(2)/2 (Cephes expf: r + r^2 p(r)).
template <class V>
inline typename V::F expm1_reduced(typename V::F r) {
  auto p = V::set1(1.9875691500e-4F);
  p = V::fma(p, r, V::set1(1.3981999507e-3F));
  p = V::fma(p, r, V::set1(8.3334519073e-3F));
  p = V::fma(p, r, V::set1(4.1665795894e-2F));
  p = V::fma(p, r, V::set1(1.6666665459e-1F));
  p = V::fma(p, r, V::set1(5.0000001201e-1F));
  return V::fma(V::mul(p, r), r, r);
}

/// x = n ln(2) + r with whole n; ln(2) in two parts, the first with trailing zeros so that n times it is
/// exact.
template <class V>
inline typename V::F reduce_exponent(typename V::F x, typename V::F& n) {
  n = V::round(V::mul(x, V::set1(1.44269504088896341F)));
  return V::fma(n, V::set1(2.12194440e-4F), V::fma(n, V::set1(-0.693359375F), x));
}

template <class V>
inline typename V::F exp_v(typename V::F x) {
  x = V::min(V::set1(90.0F), V::max(V::set1(-105.0F), x));  // keeps NaN
  typename V::F n;
  const auto r = reduce_exponent<V>(x, n);
  return V::ldexp(V::add(expm1_reduced<V>(r), V::set1(1.0F)), n);
}

/// 2^n (exp(r) - 1) + (2^n - 1): no cancellation near 0.
template <class V>
inline typename V::F expm1_v(typename V::F x) {
  x = V::min(V::set1(88.72283F), V::max(V::set1(-40.0F), x));
  typename V::F n;
  const auto r = reduce_exponent<V>(x, n);
  const auto half = V::ldexp(V::set1(0.5F), n);  // 2^128 would overflow, half of it does not
  const auto y = V::fma(half, expm1_reduced<V>(r), V::sub(half, V::set1(0.5F)));
  return V::add(y, y);
}

/// e / (e + 2) with e = exp(2x) - 1; from |x| = 10 on it rounds to +-1. (Eigen's rational function is 4 ulp
/// off.)
template <class V>
inline typename V::F tanh_v(typename V::F x) {
  x = V::min(V::set1(10.0F), V::max(V::set1(-10.0F), x));
  const auto e = expm1_v<V>(V::add(x, x));
  return V::div(e, V::add(e, V::set1(2.0F)));
}

/// |x| <= 0.921875: x + x p(x^2); above: 1 - exp(-(a + a q(a))) with a = |x| up to 3.925, where erf rounds
/// to 1. Coefficients of ONNX Runtime's MLAS (erf.cpp); a quotient of polynomials on [-4, 4] was
/// tried: 3.3e-7 off near 4.
template <class V>
inline typename V::F erf_v(typename V::F x) {
  const auto magnitude = V::max(x, V::sub(V::zero(), x));
  const auto x2 = V::mul(x, x);
  auto p = V::set1(-5.99104969e-4F);
  p = V::fma(p, x2, V::set1(4.99339588e-3F));
  p = V::fma(p, x2, V::set1(-2.67667342e-2F));
  p = V::fma(p, x2, V::set1(1.12818025e-1F));
  p = V::fma(p, x2, V::set1(-3.76124859e-1F));
  p = V::fma(p, x2, V::set1(1.28379151e-1F));
  const auto near = V::fma(p, x, x);
  const auto a = V::min(V::set1(3.925F), magnitude);
  auto q = V::set1(1.72948930e-5F);
  q = V::fma(q, a, V::set1(-3.83208680e-4F));
  q = V::fma(q, a, V::set1(3.88393435e-3F));
  q = V::fma(q, a, V::set1(-2.42545605e-2F));
  q = V::fma(q, a, V::set1(1.06777847e-1F));
  q = V::fma(q, a, V::set1(6.34846687e-1F));
  q = V::fma(q, a, V::set1(1.28717512e-1F));
  const auto e = V::fma(q, a, a);
  typename V::F n;
  const auto r = reduce_exponent<V>(V::sub(V::zero(), e), n);  // e <= 17: no bounds to check
  const auto far = V::sub(V::set1(1.0F), V::ldexp(V::add(expm1_reduced<V>(r), V::set1(1.0F)), n));
  const auto signed_far = V::where_positive(x, far, V::sub(V::zero(), far));
  return V::where_positive(V::sub(magnitude, V::set1(0.921875F)), signed_far, near);
}

/// 1 / (1 + exp(-x)); below -88.7 exp(-x) is Inf and the result 0.
template <class V>
inline typename V::F sigmoid_v(typename V::F x) {
  const auto one = V::set1(1.0F);
  return V::div(one, V::add(one, exp_v<V>(V::sub(V::zero(), x))));
}

template <class V>
inline typename V::F gelu_v(typename V::F x) {
  const auto half_x = V::mul(V::set1(0.5F), x);
  return V::fma(half_x, erf_v<V>(V::mul(x, V::set1(0.70710678118654752F))), half_x);
}

/// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
template <class V>
inline typename V::F gelu_tanh_v(typename V::F x) {
  const auto half_x = V::mul(V::set1(0.5F), x), x2 = V::mul(x, x);
  const auto u = V::mul(V::set1(0.7978845608028654F), V::fma(V::mul(V::set1(0.044715F), x2), x, x));
  return V::fma(half_x, tanh_v<V>(u), half_x);
}

/// x tanh(log(1 + e)) = x (e^2 + 2e) / (e^2 + 2e + 2) with e = exp(x); from 20 on the ratio is 1 in float.
template <class V>
inline typename V::F mish_v(typename V::F x) {
  const auto e = exp_v<V>(V::min(V::set1(20.0F), x)), two = V::set1(2.0F);
  const auto t = V::mul(e, V::add(e, two));
  return V::mul(x, V::div(t, V::add(t, two)));
}

template <class V>
inline typename V::F hard_sigmoid_v(typename V::F x, float alpha, float beta) {
  const auto t = V::add(V::mul(V::set1(alpha), x), V::set1(beta));
  return V::max(V::min(t, V::set1(1.0F)), V::zero());
}

/// Divides by 6, as apply() does: a product with 1/6 would round differently.
template <class V>
inline typename V::F hard_swish_v(typename V::F x) {
  const auto t = V::add(V::div(x, V::set1(6.0F)), V::set1(0.5F));
  return V::mul(x, V::max(V::min(t, V::set1(1.0F)), V::zero()));
}

/// apply() of kernels/activation.h for one vector. The switch is predicted after the first call: cheap beside
/// a store.
template <class V>
inline typename V::F apply_v(const Activation& a, typename V::F x) {
  switch (a.kind) {
    case Act::none:
      return x;
    case Act::relu:
      return V::max(V::zero(), x);
    case Act::clip:
      return V::min(V::set1(a.beta), V::max(V::set1(a.alpha), x));
    case Act::leaky_relu:
      return V::where_positive(x, x, V::mul(x, V::set1(a.alpha)));
    case Act::sigmoid:
      return sigmoid_v<V>(x);
    case Act::tanh:
      return tanh_v<V>(x);
    case Act::silu:
      return V::mul(x, sigmoid_v<V>(x));
    case Act::hard_sigmoid:
      return hard_sigmoid_v<V>(x, a.alpha, a.beta);
    case Act::hard_swish:
      return hard_swish_v<V>(x);
    case Act::gelu:
      return gelu_v<V>(x);
    case Act::gelu_tanh:
      return gelu_tanh_v<V>(x);
    case Act::elu:
      return V::where_positive(x, x, V::mul(V::set1(a.alpha), expm1_v<V>(x)));
    case Act::mish:
      return mish_v<V>(x);
  }
  return x;
}

}  // namespace
}  // namespace narrow::kernels
