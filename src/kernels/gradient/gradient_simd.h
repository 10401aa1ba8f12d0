// The functions of gradient.h for vectors V of floats (kernels/math/simd_*.h); templates over types of
// unnamed namespaces, so each including file has its own.
#pragma once

#include "kernels/gradient/gradient.h"
#include "kernels/math/vmath.h"

namespace narrow::kernels {
namespace {

template <class V>
inline typename V::Mask lanes_from(int64_t i, int64_t n) {
  return V::first(n - i < V::kLanes ? n - i : V::kLanes);
}

/// kVectors of channels from c on: as many independent sums as it takes to hide the latency of an addition.
template <class V, int kVectors>
inline void products_of(const ColumnProducts& p, int64_t c) {
  typename V::F sums[kVectors];
  typename V::Mask live[kVectors];
#pragma GCC unroll 4
  for (int k = 0; k < kVectors; ++k) {
    live[k] = lanes_from<V>(c + k * V::kLanes, p.channels);
    sums[k] = V::load(p.sums + c + k * V::kLanes, live[k]);
  }
  const float *x = p.x + c, *y = p.y + c;
  for (int64_t i = 0; i < p.n; ++i, x += p.x_stride, y += p.y_stride)
#pragma GCC unroll 4
    for (int k = 0; k < kVectors; ++k)
      sums[k] = V::fma(V::load(x + k * V::kLanes, live[k]), V::load(y + k * V::kLanes, live[k]), sums[k]);
#pragma GCC unroll 4
  for (int k = 0; k < kVectors; ++k) V::store(p.sums + c + k * V::kLanes, live[k], sums[k]);
}

template <class V>
inline void column_products_v(const ColumnProducts& p) {
  int64_t c = 0;
  for (; c + 3 * V::kLanes < p.channels; c += 4 * V::kLanes) products_of<V, 4>(p, c);
  for (; c + V::kLanes < p.channels; c += 2 * V::kLanes) products_of<V, 2>(p, c);
  for (; c < p.channels; c += V::kLanes) products_of<V, 1>(p, c);
}

/// x >= 0 ? a : 0 with x = value - bound; equal bounds count as inside.
template <class V>
inline void bounded_gradient_v(const BoundedGradient& g) {
  const auto low = V::set1(g.low), high = V::set1(g.high);
  for (int64_t i = 0; i < g.n; i += V::kLanes) {
    const auto live = lanes_from<V>(i, g.n);
    const auto x = V::load(g.x + i, live), dy = V::load(g.dy + i, live);
    const auto above = V::where_not_less(x, low, dy, V::zero());
    V::store(g.dx + i, live, V::where_not_less(high, x, above, V::zero()));
  }
}

/// Runs of 4096 are summed in lanes, then in double.
template <class V>
inline double squared_error_v(const SquaredError& e) {
  constexpr int64_t kStretch = 4096;
  const auto factor = V::set1(e.factor);
  double total = 0;
  for (int64_t first = 0; first < e.n; first += kStretch) {
    const int64_t end = e.n - first < kStretch ? e.n : first + kStretch;
    auto sum = V::zero();
    for (int64_t i = first; i < end; i += V::kLanes) {
      const auto live = lanes_from<V>(i, end);
      const auto difference = V::sub(V::load(e.a + i, live), V::load(e.b + i, live));
      const auto weighted =
          e.weight != nullptr ? V::mul(V::load(e.weight + i, live), difference) : difference;
      if (e.d != nullptr) V::store(e.d + i, live, V::mul(factor, weighted));
      sum = V::fma(weighted, difference, sum);
    }
    alignas(64) float lanes[V::kLanes];
    V::store(lanes, sum);
    for (int k = 0; k < V::kLanes; ++k) total += static_cast<double>(lanes[k]);
  }
  return total;
}

template <class V>
struct ShareV {
  typename V::F value, slope;
};

template <class V>
inline ShareV<V> share_v(typename V::F v) {
  const auto one = V::set1(1.0F), sigmoid = sigmoid_v<V>(v);
  const auto stretched = V::fma(V::set1(1.2F), sigmoid, V::set1(-0.1F));
  const auto slope = V::mul(V::mul(V::set1(1.2F), sigmoid), V::sub(one, sigmoid));
  const auto value = V::min(one, V::max(V::zero(), stretched));
  const auto above = V::where_not_less(V::zero(), stretched, V::zero(), slope);
  return {value, V::where_not_less(stretched, one, V::zero(), above)};
}

template <class V>
inline typename V::F whole_power_v(typename V::F x, int exponent) {
  auto y = V::set1(1.0F);
  for (; exponent > 0; exponent >>= 1, x = V::mul(x, x))
    if ((exponent & 1) != 0) y = V::mul(y, x);
  return y;
}

template <class V>
inline typename V::F updated_v(const RoundingStep& s, int64_t i, typename V::Mask live) {
  auto v = V::load(s.v + i, live);
  const ShareV<V> h = share_v<V>(v);
  const auto t = V::fma(V::set1(2.0F), h.value, V::set1(-1.0F));
  const auto size = V::max(t, V::sub(V::zero(), t));
  const auto pull = V::mul(V::set1(2.0F * static_cast<float>(s.sharpness) * s.pressure),
                           whole_power_v<V>(size, s.sharpness - 1));
  const auto signed_pull = V::where_positive(t, pull, V::sub(V::zero(), pull));
  const auto scaled = V::mul(V::load(s.gradient + i, live), V::load(s.scale + i, live));
  const auto g = V::mul(V::sub(scaled, signed_pull), h.slope);
  const auto mean = V::fma(V::set1(0.9F), V::load(s.mean + i, live), V::mul(V::set1(0.1F), g));
  const auto square =
      V::fma(V::set1(0.999F), V::load(s.square + i, live), V::mul(V::mul(V::set1(0.001F), g), g));
  const auto root = V::sqrt(V::mul(square, V::set1(s.square_scale)));
  v = V::sub(v, V::div(V::mul(V::set1(s.rate), mean), V::add(root, V::set1(1e-8F))));
  V::store(s.mean + i, live, mean);
  V::store(s.square + i, live, square);
  V::store(s.v + i, live, v);
  return v;
}

template <class V>
inline void rounding_step_v(const RoundingStep& s) {
  for (int64_t i = 0; i < s.n; i += V::kLanes) {
    const auto live = lanes_from<V>(i, s.n);
    const auto v = s.rate != 0 ? updated_v<V>(s, i, live) : V::load(s.v + i, live);
    const auto code = V::add(V::load(s.code + i, live), share_v<V>(v).value);
    V::store(s.weights + i, live, V::mul(V::load(s.scale + i, live), code));
  }
}

}  // namespace
}  // namespace narrow::kernels
