// Depthwise convolution over 32 channels at a time. Each source row is widened to FP32 and padded once, then
// read by every output row that needs it; sums run over kh, kw in that order, one fused multiply-add per tap.
#include "kernels/conv/dw_half.h"
#include "kernels/conv/narrow_out_avx512.h"

namespace narrow::kernels {
namespace {

constexpr int64_t kPixels = 4;  // outputs side by side: 8 sums hide the latency of the multiply-add

struct Pair {
  __m512 v[2];
};

/// 32 channels as floats in the order of the sums: bf16 as even and odd channels (a shift and a mask), others
/// as they lie.
NARROW_INLINE Pair load_pair(DType type, const void* src, int64_t i, __mmask32 live) {
  const __mmask16 low = static_cast<__mmask16>(live), high = static_cast<__mmask16>(live >> 16);
  const uint16_t* halves = static_cast<const uint16_t*>(src) + i;
  if (type == DType::f16) return {{Simd512::load_f16(halves, low), Simd512::load_f16(halves + 16, high)}};
  const __m512i both = _mm512_maskz_loadu_epi16(live, halves);
  const __m512i odd = _mm512_and_si512(both, _mm512_set1_epi32(static_cast<int32_t>(0xffff0000U)));
  return {{_mm512_castsi512_ps(_mm512_slli_epi32(both, 16)), _mm512_castsi512_ps(odd)}};
}

NARROW_INLINE void widen_row(const DwHalfPlan& p, DType type, const void* src, int64_t at, int64_t first,
                             int64_t live, float* out) {
  const __mmask32 mask = first_lanes32(live);
  for (int64_t i = 0; i < p.columns; ++i) {
    const int64_t x = first + i;
    Pair lanes = {{_mm512_setzero_ps(), _mm512_setzero_ps()}};
    if (x >= 0 && x < p.w) lanes = load_pair(type, src, at + x * p.src_pixel, mask);
    _mm512_store_ps(out + i * 32, lanes.v[0]);
    _mm512_store_ps(out + i * 32 + 16, lanes.v[1]);
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
  const int64_t at = (t.image * p.h + y) * p.w * p.src_pixel + t.channel,
                first = t.column_begin * p.stride_w - p.pad_left;
  const int64_t live = p.c - t.channel;
  if (p.src_type == DType::bf16)
    widen_row(p, DType::bf16, t.src, at, first, live, out);
  else
    widen_row(p, DType::f16, t.src, at, first, live, out);
}

struct Pixels {
  Pair sum[kPixels];
};

/// kCount neighbouring outputs of the current row, the first at column `x` of the strip.
template <int64_t kCount>
NARROW_INLINE Pixels convolve(const DwHalfPlan& p, const DwHalfTask& t, int64_t x) {
  const int64_t chunk = t.channel / 32;
  const float* w = p.weights + chunk * p.kh * p.kw * 32;
  Pixels r;
  NARROW_UNROLL(4)
  for (int64_t k = 0; k < kCount; ++k) NARROW_UNROLL(2)
  for (int v = 0; v < 2; ++v) r.sum[k].v[v] = _mm512_loadu_ps(p.bias + chunk * 32 + v * 16);
  for (int64_t i = 0; i < p.kh; ++i) {
    const float* row = t.ring + t.window[i] + x * p.stride_w * 32;
    for (int64_t j = 0; j < p.kw; ++j, w += 32, row += p.dilation_w * 32) {
      const __m512 w0 = _mm512_load_ps(w), w1 = _mm512_load_ps(w + 16);
      NARROW_UNROLL(4)
      for (int64_t k = 0; k < kCount; ++k) {
        const float* pixel = row + k * p.stride_w * 32;
        r.sum[k].v[0] = _mm512_fmadd_ps(_mm512_load_ps(pixel), w0, r.sum[k].v[0]);
        r.sum[k].v[1] = _mm512_fmadd_ps(_mm512_load_ps(pixel + 16), w1, r.sum[k].v[1]);
      }
    }
  }
  return r;
}

/// FP32 bits rounded to the upper 16; NaN turns quiet.
NARROW_INLINE __m512i round_upper(__m512 x) {
  const __m512i u = _mm512_castps_si512(x),
                odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd);
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  return _mm512_mask_or_epi32(rounded, nan, u, _mm512_set1_epi32(0x400000));
}

/// bf16 from bf16, bounds only: even and odd channels meet again in one store.
NARROW_INLINE void finish_bf16(const DwHalfPlan& p, void* dst, int64_t at, __mmask32 live, const Pair& sum) {
  const __m512 low = _mm512_set1_ps(p.activation.alpha), high = _mm512_set1_ps(p.activation.beta);
  const __m512i even = round_upper(_mm512_min_ps(high, _mm512_max_ps(low, sum.v[0])));
  const __m512i odd = round_upper(_mm512_min_ps(high, _mm512_max_ps(low, sum.v[1])));
  const __m512i both = _mm512_mask_blend_epi16(0xaaaaaaaaU, _mm512_srli_epi32(even, 16), odd);
  _mm512_mask_storeu_epi16(static_cast<uint16_t*>(dst) + at, live, both);
}

/// Any types and activation, 16 channels at a time in the order of memory.
NARROW_INLINE void finish_any(const DwHalfPlan& p, const DwHalfTask& t, int64_t at, __mmask32 live, Pair sum,
                              DType dst) {
  const IntegerStore integer{1.0F / p.dst_quant.scale, p.dst_quant.zero_point, p.low, p.high};
  if (p.src_type == DType::bf16) {
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
    sum = {
        {_mm512_permutex2var_ps(sum.v[0], low, sum.v[1]), _mm512_permutex2var_ps(sum.v[0], high, sum.v[1])}};
  }
  NARROW_UNROLL(2)
  for (int v = 0; v < 2; ++v) {
    const auto mask = static_cast<__mmask16>(live >> (16 * v));
    if (mask == 0) continue;
    const int64_t i = at + v * 16;
    const __m512 r = add_residual_lanes(p.residual_type, t.residual, i, mask, p.residual_quant, sum.v[v]);
    store_lanes(dst, t.dst, i, mask, vapply(p.activation, r), integer);
  }
}

enum class Finish { bf16, f16, any };

/// kCount neighbouring outputs of row y. How they leave is a constant.
template <int64_t kCount, Finish kFinish>
NARROW_INLINE void output(const DwHalfPlan& p, const DwHalfTask& t, int64_t y, int64_t x) {
  const __mmask32 live = first_lanes32(p.c - t.channel);
  const int64_t at = ((t.image * p.oh + y) * p.ow + t.column_begin + x) * p.dst_pixel + t.channel;
  const Pixels r = convolve<kCount>(p, t, x);
  NARROW_UNROLL(4)
  for (int64_t k = 0; k < kCount; ++k) {
    if (kFinish == Finish::bf16) finish_bf16(p, t.dst, at + k * p.dst_pixel, live, r.sum[k]);
    if (kFinish == Finish::f16) finish_any(p, t, at + k * p.dst_pixel, live, r.sum[k], DType::f16);
    if (kFinish == Finish::any) finish_any(p, t, at + k * p.dst_pixel, live, r.sum[k], p.dst_type);
  }
}

template <Finish kFinish>
void output_row(const DwHalfPlan& plan, const DwHalfTask& task, int64_t y) {
  const DwHalfPlan p = plan;  // copies, which stores to dst cannot change
  const DwHalfTask t = task;
  const int64_t width = t.column_end - t.column_begin;
  int64_t x = 0;
  for (; x + kPixels <= width; x += kPixels) output<kPixels, kFinish>(p, t, y, x);
  for (; x < width; ++x) output<1, kFinish>(p, t, y, x);
}

}  // namespace

void dw_half_avx512(const DwHalfPlan& p, const DwHalfTask& t) {
  const bool plain = p.activation.kind == Act::clip && p.residual_type == DType::undefined;
  for (int64_t r = 0; r < p.ring_rows; ++r) t.ring_tags[r] = -1;
  for (int64_t y = t.row_begin; y < t.row_end; ++y) {
    for (int64_t i = 0; i < p.kh; ++i) {
      const int64_t padded_y = y * p.stride_h + i * p.dilation_h, slot = padded_y % p.ring_rows;
      if (t.ring_tags[slot] != padded_y) fill(p, t, padded_y);
      t.window[i] = slot * p.columns * 32;
    }
    if (plain && p.src_type == DType::bf16 && p.dst_type == DType::bf16)
      output_row<Finish::bf16>(p, t, y);
    else if (plain && p.dst_type == DType::f16)
      output_row<Finish::f16>(p, t, y);
    else
      output_row<Finish::any>(p, t, y);
  }
}

}  // namespace narrow::kernels
