// The transforms of f32_winograd.h. V is Simd512 or Simd256; included by kernel files with ISA flags only,
// after the vector type's header.
#pragma once

#include "kernels/conv/f32_elements.h"
#include "kernels/conv/f32_winograd.h"

namespace narrow::kernels {
namespace {

/// B' = [1 0 -1 0; 0 1 1 0; 0 -1 1 0; 0 1 0 -1] on four values.
template <class V, class F>
inline void input_row(F& a, F& b, F& c, F& d) {
  const F first = V::sub(a, c), second = V::add(b, c), third = V::sub(c, b), fourth = V::sub(b, d);
  a = first, b = second, c = third, d = fourth;
}

template <class V, bool kWhole>
inline void transform_in(const F32PatchIn& t, int64_t c, typename V::Mask live) {
  typename V::F x[16];
  NARROW_UNROLL for (int i = 0; i < 16; ++i) x[i] = kWhole ? V::load(t.d[i] + c) : V::load(t.d[i] + c, live);
  NARROW_UNROLL for (int j = 0; j < 4; ++j) input_row<V>(x[j], x[4 + j], x[8 + j], x[12 + j]);
  NARROW_UNROLL for (int i = 0; i < 16; i += 4) input_row<V>(x[i], x[i + 1], x[i + 2], x[i + 3]);
  NARROW_UNROLL for (int i = 0; i < 16; ++i) V::store(t.v + i * t.plane + c, live, x[i]);
}

/// A' = [1 1 1 0; 0 1 -1 -1]
template <class V, class F>
inline F output_first(F a, F b, F c) {
  return V::add(V::add(a, b), c);
}
template <class V, class F>
inline F output_second(F b, F c, F d) {
  return V::sub(V::sub(b, c), d);
}

template <class V>
inline void patch_in(const F32PatchIn& patch) {
  int64_t c = 0;
  for (; c + V::kLanes <= patch.channels; c += V::kLanes)
    transform_in<V, true>(patch, c, V::first(V::kLanes));
  if (c < patch.channels) transform_in<V, false>(patch, c, V::first(patch.channels - c));
}

template <class V>
inline void patch_out(const F32PatchOut& t) {
  using F = typename V::F;
  const F32Epilogue& e = *t.epilogue;
  const F low = V::set1(e.low), high = V::set1(e.high);
  for (int64_t c = 0; c < t.n; c += V::kLanes) {
    const typename V::Mask live = V::first(t.n - c < V::kLanes ? t.n - c : V::kLanes);
    F top[4], bottom[4];
    NARROW_UNROLL for (int j = 0; j < 4; ++j) {
      const float* m = t.m + j * t.plane + c;
      const F b = V::load(m + 4 * t.plane), d = V::load(m + 8 * t.plane);
      top[j] = output_first<V>(V::load(m), b, d);
      bottom[j] = output_second<V>(b, d, V::load(m + 12 * t.plane));
    }
    const F bias = V::load(t.bias + c);
    const F y[4] = {output_first<V>(top[0], top[1], top[2]), output_second<V>(top[1], top[2], top[3]),
                    output_first<V>(bottom[0], bottom[1], bottom[2]),
                    output_second<V>(bottom[1], bottom[2], bottom[3])};
    NARROW_UNROLL for (int i = 0; i < 4; ++i) {
      if (t.dst[i] == nullptr) continue;
      F x = V::add(y[i], bias);
      if (t.residual[i] != nullptr) x = V::add(x, V::load(t.residual[i] + c, live));
      x = e.plain ? V::min(high, V::max(low, x)) : apply_v<V>(e.activation, x);
      V::store(t.dst[i] + c, live, x);
    }
  }
}

}  // namespace
}  // namespace narrow::kernels
