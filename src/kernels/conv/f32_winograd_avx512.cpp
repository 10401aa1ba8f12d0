#include "kernels/conv/f32_winograd.h"
#include "kernels/math/simd_avx512.h"
// The vector type first: the templates below use it.
#include "kernels/conv/f32_elements.h"

namespace narrow::kernels {
namespace {

using V = Simd512;

/// B' = [1 0 -1 0; 0 1 1 0; 0 -1 1 0; 0 1 0 -1] on four values.
inline void input_row(__m512& a, __m512& b, __m512& c, __m512& d) {
  const __m512 first = V::sub(a, c), second = V::add(b, c), third = V::sub(c, b), fourth = V::sub(b, d);
  a = first, b = second, c = third, d = fourth;
}

template <bool kWhole>
inline void transform_in(const F32PatchIn& t, int64_t c, __mmask16 live) {
  __m512 x[16];
  NARROW_UNROLL for (int i = 0; i < 16; ++i) x[i] = kWhole ? V::load(t.d[i] + c) : V::load(t.d[i] + c, live);
  NARROW_UNROLL for (int j = 0; j < 4; ++j) input_row(x[j], x[4 + j], x[8 + j], x[12 + j]);
  NARROW_UNROLL for (int i = 0; i < 16; i += 4) input_row(x[i], x[i + 1], x[i + 2], x[i + 3]);
  NARROW_UNROLL for (int i = 0; i < 16; ++i) V::store(t.v + i * t.plane + c, live, x[i]);
}

/// A' = [1 1 1 0; 0 1 -1 -1]
inline __m512 output_first(__m512 a, __m512 b, __m512 c) { return V::add(V::add(a, b), c); }
inline __m512 output_second(__m512 b, __m512 c, __m512 d) { return V::sub(V::sub(b, c), d); }

}  // namespace

void f32_winograd_in_avx512(const F32PatchIn& patch) {
  int64_t c = 0;
  for (; c + 16 <= patch.channels; c += 16) transform_in<true>(patch, c, V::first(16));
  if (c < patch.channels) transform_in<false>(patch, c, V::first(patch.channels - c));
}

void f32_winograd_out_avx512(const F32PatchOut& t) {
  const F32Epilogue& e = *t.epilogue;
  const __m512 low = V::set1(e.low), high = V::set1(e.high);
  for (int64_t c = 0; c < t.n; c += 16) {
    const __mmask16 live = V::first(t.n - c < 16 ? t.n - c : 16);
    __m512 top[4], bottom[4];
    NARROW_UNROLL for (int j = 0; j < 4; ++j) {
      const float* m = t.m + j * t.plane + c;
      const __m512 b = V::load(m + 4 * t.plane), d = V::load(m + 8 * t.plane);
      top[j] = output_first(V::load(m), b, d);
      bottom[j] = output_second(b, d, V::load(m + 12 * t.plane));
    }
    const __m512 bias = V::load(t.bias + c);
    const __m512 y[4] = {output_first(top[0], top[1], top[2]), output_second(top[1], top[2], top[3]),
                         output_first(bottom[0], bottom[1], bottom[2]),
                         output_second(bottom[1], bottom[2], bottom[3])};
    NARROW_UNROLL for (int i = 0; i < 4; ++i) {
      if (t.dst[i] == nullptr) continue;
      __m512 x = V::add(y[i], bias);
      if (t.residual[i] != nullptr) x = V::add(x, V::load(t.residual[i] + c, live));
      x = e.plain ? V::min(high, V::max(low, x)) : apply_v<V>(e.activation, x);
      V::store(t.dst[i] + c, live, x);
    }
  }
}

}  // namespace narrow::kernels
