// Depthwise convolution over 32 channels at a time. Each source row is widened to FP32 and padded once, then
// read by every output row that needs it; sums run over kh, kw in that order, one fused multiply-add per tap.
#include "kernels/conv/dw_half.h"
#include "kernels/conv/dw_half_lanes_avx512.h"

namespace narrow::kernels {
namespace {

constexpr int64_t kPixels = 4;  // outputs side by side: 8 sums hide the latency of the multiply-add

NARROW_INLINE __m512 load_lanes(DType type, const void* p, int64_t i, __mmask16 live) {
  switch (type) {
    case DType::f32:
      return _mm512_maskz_loadu_ps(live, static_cast<const float*>(p) + i);
    case DType::f16:
      return Simd512::load_f16(static_cast<const uint16_t*>(p) + i, live);
    default:
      return Simd512::load_bf16(static_cast<const uint16_t*>(p) + i, live);
  }
}

NARROW_INLINE void widen_row(const DwHalfPlan& p, DType type, const void* src, int64_t at, int64_t first,
                             int64_t live, float* out) {
  const __mmask16 masks[2] = {first_lanes16(live), first_lanes16(live > 16 ? live - 16 : 0)};
  for (int64_t i = 0; i < p.columns; ++i) {
    const int64_t x = first + i;
    const bool inside = x >= 0 && x < p.w;
    NARROW_UNROLL(2)
    for (int64_t v = 0; v < 2; ++v) {
      const __m512 lanes =
          inside ? load_lanes(type, src, at + x * p.c + v * 16, masks[v]) : _mm512_setzero_ps();
      _mm512_store_ps(out + i * 32 + v * 16, lanes);
    }
  }
}

/// Padded row y of the source into its place in the ring.
void fill(const DwHalfPlan& p, const DwHalfTask& t, int64_t padded_y) {
  float* out = t.ring + padded_y % p.ring_rows * p.columns * 32;
  t.ring_tags[padded_y % p.ring_rows] = padded_y;
  const int64_t y = padded_y - p.pad_top;
  if (y < 0 || y >= p.h) {
    for (int64_t i = 0; i < p.columns * 2; ++i) _mm512_store_ps(out + i * 16, _mm512_setzero_ps());
    return;
  }
  const int64_t at = (t.image * p.h + y) * p.w * p.c + t.channel,
                first = t.column_begin * p.stride_w - p.pad_left;
  const int64_t live = p.c - t.channel;
  if (p.src_type == DType::bf16)
    widen_row(p, DType::bf16, t.src, at, first, live, out);
  else if (p.src_type == DType::f16)
    widen_row(p, DType::f16, t.src, at, first, live, out);
  else
    widen_row(p, DType::f32, t.src, at, first, live, out);
}

struct Pixels {
  __m512 sum[kPixels][2];
};

/// kCount neighbouring outputs of the current row, the first at column `x` of the strip.
template <int64_t kCount>
NARROW_INLINE Pixels convolve(const DwHalfPlan& p, const DwHalfTask& t, int64_t x) {
  const int64_t chunk = t.channel / 32;
  const float* w = p.weights + chunk * p.kh * p.kw * 32;
  Pixels r;
  NARROW_UNROLL(4)
  for (int64_t k = 0; k < kCount; ++k) NARROW_UNROLL(2)
  for (int v = 0; v < 2; ++v) r.sum[k][v] = _mm512_loadu_ps(p.bias + chunk * 32 + v * 16);
  for (int64_t i = 0; i < p.kh; ++i) {
    const float* row = t.ring + t.window[i] + x * p.stride_w * 32;
    for (int64_t j = 0; j < p.kw; ++j, w += 32, row += p.dilation_w * 32) {
      const __m512 w0 = _mm512_load_ps(w), w1 = _mm512_load_ps(w + 16);
      NARROW_UNROLL(4)
      for (int64_t k = 0; k < kCount; ++k) {
        const float* pixel = row + k * p.stride_w * 32;
        r.sum[k][0] = _mm512_fmadd_ps(_mm512_load_ps(pixel), w0, r.sum[k][0]);
        r.sum[k][1] = _mm512_fmadd_ps(_mm512_load_ps(pixel + 16), w1, r.sum[k][1]);
      }
    }
  }
  return r;
}

struct Finish {
  DType dst, residual;
  bool plain;  // the activation is clip
};

/// dst = act(sum + residual) for kCount outputs. Types are arguments so that the common ones become
/// constants.
template <int64_t kCount>
NARROW_INLINE void finish(const DwHalfPlan& p, const DwHalfTask& t, int64_t y, int64_t x, const Pixels& r,
                          Finish f) {
  const IntegerStore integer{1.0F / p.dst_quant.scale, p.dst_quant.zero_point, p.low, p.high};
  const __m512 low = _mm512_set1_ps(p.activation.alpha), high = _mm512_set1_ps(p.activation.beta);
  const int64_t live = p.c - t.channel;
  const __mmask16 masks[2] = {first_lanes16(live), first_lanes16(live > 16 ? live - 16 : 0)};
  const int64_t at = ((t.image * p.oh + y) * p.ow + t.column_begin + x) * p.c + t.channel;
  NARROW_UNROLL(4)
  for (int64_t k = 0; k < kCount; ++k)
    for (int v = 0; v < 2 && masks[v] != 0; ++v) {
      const int64_t i = at + k * p.c + v * 16;
      __m512 z = add_residual_lanes(f.residual, t.residual, i, masks[v], p.residual_quant, r.sum[k][v]);
      z = f.plain ? _mm512_min_ps(high, _mm512_max_ps(low, z)) : vapply(p.activation, z);
      store_lanes(f.dst, t.dst, i, masks[v], z, integer);
    }
}

NARROW_INLINE void output_row(const DwHalfPlan& p, const DwHalfTask& t, int64_t y, Finish f) {
  const int64_t width = t.column_end - t.column_begin;
  int64_t x = 0;
  for (; x + kPixels <= width; x += kPixels) finish<kPixels>(p, t, y, x, convolve<kPixels>(p, t, x), f);
  for (; x < width; ++x) finish<1>(p, t, y, x, convolve<1>(p, t, x), f);
}

}  // namespace

void dw_half_avx512(const DwHalfPlan& p, const DwHalfTask& t) {
  const bool plain = p.activation.kind == Act::clip && p.residual_type == DType::undefined;
  for (int64_t r = 0; r < p.ring_rows; ++r) t.ring_tags[r] = -1;
  for (int64_t y = t.row_begin; y < t.row_end; ++y) {
    for (int64_t i = 0; i < p.kh; ++i) {
      const int64_t padded_y = y * p.stride_h + i * p.dilation_h;
      const int64_t slot = padded_y % p.ring_rows;
      if (t.ring_tags[slot] != padded_y) fill(p, t, padded_y);
      t.window[i] = slot * p.columns * 32;
    }
    if (plain && p.dst_type == DType::bf16)
      output_row(p, t, y, {DType::bf16, DType::undefined, true});
    else if (plain && p.dst_type == DType::f16)
      output_row(p, t, y, {DType::f16, DType::undefined, true});
    else
      output_row(p, t, y, {p.dst_type, p.residual_type, false});
  }
}

}  // namespace narrow::kernels
