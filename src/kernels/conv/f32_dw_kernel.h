// The strip of f32_dw.h as a template over the vector type. Included by f32_dw_<isa>.cpp only.
//
// Eight sums hide the latency of the multiply-add. Windows 3 and 5 wide load each input column once for all
// the pixels that share it; other widths read every tap of every pixel from L1.
#pragma once

#include "kernels/conv/f32_dw.h"
#include "kernels/conv/f32_elements.h"

namespace narrow::kernels {
namespace {

/// A row of taps, every pixel's input read for every tap.
template <class V, int P, bool kWhole>
inline void any_taps(const F32Strip& t, const char* tap, const float* weight, typename V::Mask live,
                     typename V::F* acc) {
  const int64_t stride = t.pixel_stride;
  for (int64_t j = 0; j < t.taps_w; ++j, tap += t.tap_stride, weight += t.weight_tap) {
    const auto w = V::load(weight);
    NARROW_UNROLL for (int p = 0; p < P; ++p) {
      const auto* x = reinterpret_cast<const float*>(tap + p * stride);
      acc[p] = V::fma(kWhole ? V::load(x) : V::load(x, live), w, acc[p]);
    }
  }
}

/// A row of kWidth taps where neighbouring pixels are kStep taps apart: column q feeds tap j of pixel (q - j)
/// / kStep.
template <class V, int P, bool kWhole, int kWidth, int kStep>
inline void row_taps(const F32Strip& t, const char* column, const float* weight, typename V::Mask live,
                     typename V::F* acc) {
  typename V::F w[kWidth];
  NARROW_UNROLL for (int j = 0; j < kWidth; ++j) w[j] = V::load(weight + j * t.weight_tap);
  NARROW_UNROLL for (int q = 0; q < (P - 1) * kStep + kWidth; ++q) {
    const auto* at = reinterpret_cast<const float*>(column);
    const auto x = kWhole ? V::load(at) : V::load(at, live);
    NARROW_UNROLL for (int j = 0; j < kWidth; ++j) if (q >= j && (q - j) % kStep == 0 && (q - j) / kStep < P)
        acc[(q - j) / kStep] = V::fma(x, w[j], acc[(q - j) / kStep]);
    column += t.tap_stride;
    asm("" : "+r"(column));  // one pointer, not one per column
  }
}

/// One vector of channels of P pixels; `live` of its lanes exist. kWidth 0: any window.
template <class V, int P, bool kWhole, int kWidth, int kStep>
inline void strip_channels(const F32Strip& t, int64_t c, typename V::Mask live) {
  using F = typename V::F;
  F acc[P];
  NARROW_UNROLL for (int p = 0; p < P; ++p) acc[p] = V::zero();
  const char* line = t.src + c * 4;
  const float* weights = t.weights + c;
  for (int64_t i = 0; i < t.taps_h; ++i, line += t.tap_line_stride, weights += t.weight_line) {
    if constexpr (kWidth == 0)
      any_taps<V, P, kWhole>(t, line, weights, live, acc);
    else
      row_taps<V, P, kWhole, kWidth, kStep>(t, line, weights, live, acc);
  }
  const F32Epilogue& e = *t.epilogue;
  const F bias = V::load(t.bias + c);
  if (!e.plain) {
    constexpr int kLanes = V::kLanes;
    alignas(64) float sums[P * kLanes];
    NARROW_UNROLL for (int p = 0; p < P; ++p) V::store(sums + p * kLanes, V::add(acc[p], bias));
    const int64_t n = kWhole ? kLanes : t.channels - c;
    char* out = t.dst + c * (e.dst == DType::f32 ? 4 : 2);
    const char* from = t.residual + c * (e.residual == DType::f32 ? 4 : 2);
    return finish_rows<V>({sums, P, 1, P, n, {out, out}, {from, from}, t.ld, t.epilogue});
  }
  const F low = V::set1(e.low), high = V::set1(e.high);
  const bool residual = e.residual != DType::undefined;
  float* dst = reinterpret_cast<float*>(t.dst) + c;
  const float* from = reinterpret_cast<const float*>(t.residual) + c;
  NARROW_UNROLL for (int p = 0; p < P; ++p) {
    F x = V::add(acc[p], bias);
    if (residual) x = V::add(x, V::load(from, live));
    x = V::min(high, V::max(low, x));
    if (kWhole)
      V::store(dst, x);
    else
      V::store(dst, live, x);
    dst += t.ld, from += t.ld;
  }
}

template <class V, int P, int kWidth, int kStep>
void strip(const F32Strip& strip_args) {
  const F32Strip t = strip_args;  // a copy the stores cannot touch
  int64_t c = 0;
  for (; c + V::kLanes <= t.channels; c += V::kLanes)
    strip_channels<V, P, true, kWidth, kStep>(t, c, V::first(V::kLanes));
  if (c < t.channels) strip_channels<V, P, false, kWidth, kStep>(t, c, V::first(t.channels - c));
}

template <class V, int kWidth, int kStep>
constexpr F32StripKernel kStrips[] = {strip<V, 1, kWidth, kStep>, strip<V, 2, kWidth, kStep>,
                                      strip<V, 3, kWidth, kStep>, strip<V, 4, kWidth, kStep>,
                                      strip<V, 5, kWidth, kStep>, strip<V, 6, kWidth, kStep>,
                                      strip<V, 7, kWidth, kStep>, strip<V, 8, kWidth, kStep>};

template <class V>
constexpr F32StripKernels kStripKernels = {V::kLanes,
                                           8,
                                           kStrips<V, 0, 1>,
                                           {kStrips<V, 3, 1>, kStrips<V, 3, 2>},
                                           {kStrips<V, 5, 1>, kStrips<V, 5, 2>}};

}  // namespace
}  // namespace narrow::kernels
