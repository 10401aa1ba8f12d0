// The tile of f32_tile.h as a template over the vector type (Simd512 or Simd256). Included by
// f32_tile_<isa>.cpp only.
//
// 14 x 32 with AVX-512: 28 accumulators, two vectors of B and one broadcast of A fill the 32 registers. Per k
// there are 16 loads for 28 multiply-adds, and 128 bytes of B for 14 cycles, so B may stream from L2. The
// rows are addressed as base + r * stride with the seven multiples of the stride in registers; hence two runs
// of seven pixels.
#pragma once

#include "kernels/conv/f32_elements.h"

namespace narrow::kernels {
namespace {

template <class V, int M, int NV>
void tile(const F32Tile& t) {
  using F = typename V::F;
  constexpr int kLanes = V::kLanes, kFirst = (M + 1) / 2;
  F acc[M][NV];
  NARROW_UNROLL for (int r = 0; r < M; ++r) NARROW_UNROLL for (int v = 0; v < NV; ++v) acc[r][v] = V::zero();

  const int64_t stride = t.pixel_stride;
  const int64_t length = t.span_length;
  const char* ahead = t.ahead != nullptr ? t.ahead : reinterpret_cast<const char*>(t.b);
  const int64_t ahead_step = t.ahead != nullptr ? 128 : 0;
  for (int64_t span = 0; span < t.spans; ++span) {
    const char* a0 = t.a[0] + t.span[span].offset;
    const char* a1 = t.a[1] + t.span[span].offset;
    const float* b = t.b + t.span[span].number * length * NV * kLanes;
    const auto step = [&](int64_t k) __attribute__((always_inline)) {
      F columns[NV];
      NARROW_UNROLL for (int v = 0; v < NV; ++v) columns[v] = V::load(b + (k * NV + v) * kLanes);
      NARROW_UNROLL for (int r = 0; r < M; ++r) {
        const char* row = r < kFirst ? a0 + r * stride : a1 + (r - kFirst) * stride;
        const F x = V::set1(reinterpret_cast<const float*>(row)[k]);
        NARROW_UNROLL for (int v = 0; v < NV; ++v) acc[r][v] = V::fma(x, columns[v], acc[r][v]);
      }
    };
    int64_t k = 0;
    for (; k + 4 <= length; k += 4) {
      // Opaque, so that there is one base per run and not a pointer per row.
      asm("" : "+r"(a0), "+r"(a1), "+r"(b));
      _mm_prefetch(ahead, _MM_HINT_T1);
      _mm_prefetch(ahead + 64, _MM_HINT_T1);
      ahead += ahead_step;
      step(0);
      step(1);
      step(2);
      step(3);
      a0 += 16, a1 += 16, b += 4 * NV * kLanes;
    }
    for (; k < length; ++k) {
      asm("" : "+r"(a0), "+r"(a1), "+r"(b));
      step(0);
      a0 += 4, a1 += 4, b += NV * kLanes;
    }
  }

  const F32Epilogue& e = *t.epilogue;
  if (!e.plain) {
    alignas(64) float sums[M * NV * kLanes];
    NARROW_UNROLL for (int v = 0; v < NV; ++v) {
      const F bias = V::load(t.bias + v * kLanes);
      NARROW_UNROLL for (int r = 0; r < M; ++r)
          V::store(sums + (r * NV + v) * kLanes, V::add(acc[r][v], bias));
    }
    return finish_rows<V>(
        {sums, M, NV, kFirst, t.n, {t.dst[0], t.dst[1]}, {t.residual[0], t.residual[1]}, t.ld, t.epilogue});
  }
  const F low = V::set1(e.low), high = V::set1(e.high);
  const bool residual = e.residual != DType::undefined;
  NARROW_UNROLL for (int v = 0; v < NV; ++v) {
    if (t.n <= v * kLanes) break;
    const auto live = V::first(t.n - v * kLanes < kLanes ? t.n - v * kLanes : kLanes);
    const F bias = V::load(t.bias + v * kLanes);
    NARROW_UNROLL for (int r = 0; r < M; ++r) {
      const int run = r < kFirst ? 0 : 1;
      const int64_t at = (r - run * kFirst) * t.ld + v * kLanes;
      F x = V::add(acc[r][v], bias);
      if (residual) x = V::add(x, V::load(reinterpret_cast<const float*>(t.residual[run]) + at, live));
      V::store(reinterpret_cast<float*>(t.dst[run]) + at, live, V::min(high, V::max(low, x)));
    }
  }
}

template <class V>
void to_f32(DType type, const void* src, float* dst, int64_t count) {
  for (int64_t i = 0; i < count; i += V::kLanes) {
    const auto live = V::first(count - i < V::kLanes ? count - i : V::kLanes);
    V::store(dst + i, live, load_as<V>(type, static_cast<const char*>(src), i, live));
  }
}

}  // namespace
}  // namespace narrow::kernels
