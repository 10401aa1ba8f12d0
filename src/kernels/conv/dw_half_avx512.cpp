// Depthwise convolution over 32 channels of up to eight neighbouring outputs at a time. Sums run over kh, kw
// in that order, one fused multiply-add per tap inside the image; taps outside are left out.
//
// Sources are widened as they are loaded: what that takes (a shift and a mask for 32 numbers of bf16) goes
// beside the multiply-adds. Windows 3 and 5 wide load each column once for all the outputs that share it.
#include "kernels/conv/dw_half.h"
#include "kernels/conv/narrow_out_avx512.h"

namespace narrow::kernels {
namespace {

constexpr int kPixels = 8;  // with the weights of a row of taps they fill the registers

struct Pair {
  __m512 v[2];
};

/// Neighbouring outputs of a row, the first tap of the first one at source element `at` and column `x`.
struct Strip {
  const uint16_t* src;
  int64_t at, x, w;
  int64_t taps_h, taps_w;
  int64_t line, tap, pixel;  // elements from tap to tap, and from output to output
  int64_t columns;           // from output to output
  int64_t dilation_w;
  uint32_t inside;              // bit q: column x + q is in the image; for windows whose taps touch
  const float *weights, *bias;  // of the first tap's row, of the first chunk
  int64_t chunk_weights;        // from chunk to chunk
  int64_t channel, channel_end;
  int64_t dst_at, dst_pixel;
  float low, high;
  bool plain;  // bounds only, and dst is of the source's type
};

/// 32 channels as floats in the order of the sums: bf16 as even and odd channels (a shift and a mask), f16 as
/// they lie.
template <DType kSrc>
NARROW_INLINE Pair load_pair(const uint16_t* halves, __mmask32 live) {
  if constexpr (kSrc == DType::f16)
    return {{Simd512::load_f16(halves, static_cast<__mmask16>(live)),
             Simd512::load_f16(halves + 16, static_cast<__mmask16>(live >> 16))}};
  const __m512i both = _mm512_maskz_loadu_epi16(live, halves);
  const __m512i odd = _mm512_and_si512(both, _mm512_set1_epi32(static_cast<int32_t>(0xffff0000U)));
  return {{_mm512_castsi512_ps(_mm512_slli_epi32(both, 16)), _mm512_castsi512_ps(odd)}};
}

NARROW_INLINE Pair load_floats(const float* from) {
  return {{_mm512_load_ps(from), _mm512_load_ps(from + 16)}};
}

NARROW_INLINE void multiply_add(const Pair& x, const Pair& w, Pair& sum) {
  sum.v[0] = _mm512_fmadd_ps(x.v[0], w.v[0], sum.v[0]);
  sum.v[1] = _mm512_fmadd_ps(x.v[1], w.v[1], sum.v[1]);
}

/// A row of taps, the source of every output read for every tap.
template <DType kSrc, int kCount>
NARROW_INLINE void any_taps(const Strip& s, int64_t at, const float* w, __mmask32 live, Pair* sum) {
  for (int64_t j = 0; j < s.taps_w; ++j, at += s.tap, w += 32) {
    const Pair weight = load_floats(w);
    const int64_t x = s.x + j * s.dilation_w;
    NARROW_UNROLL(8)
    for (int p = 0; p < kCount; ++p)
      if (static_cast<uint64_t>(x + p * s.columns) < static_cast<uint64_t>(s.w))
        multiply_add(load_pair<kSrc>(s.src + at + p * s.pixel, live), weight, sum[p]);
  }
}

/// A row of kWidth taps that touch, outputs kStep columns apart: column q feeds tap j of output (q - j) /
/// kStep.
template <DType kSrc, int kCount, int kWidth, int kStep>
NARROW_INLINE void row_taps(const Strip& s, int64_t at, const float* w, __mmask32 live, Pair* sum) {
  uint32_t inside = s.inside;
  Pair weight[kWidth];
  NARROW_UNROLL(5)
  for (int j = 0; j < kWidth; ++j) weight[j] = load_floats(w + j * 32);
  NARROW_UNROLL(19)
  for (int q = 0; q < (kCount - 1) * kStep + kWidth; ++q) {
    if ((inside >> q & 1) != 0) {
      const Pair x = load_pair<kSrc>(s.src + at, live);
      NARROW_UNROLL(5)
      for (int j = 0; j < kWidth; ++j)
        if (q >= j && (q - j) % kStep == 0 && (q - j) / kStep < kCount)
          multiply_add(x, weight[j], sum[(q - j) / kStep]);
    }
    at += s.tap;
    asm("" : "+r"(at), "+r"(inside));  // one register, not one per column
  }
}

/// FP32 bits rounded to the upper 16; NaN turns quiet.
NARROW_INLINE __m512i round_upper(__m512 x) {
  const __m512i u = _mm512_castps_si512(x),
                odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd);
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  return _mm512_mask_or_epi32(rounded, nan, u, _mm512_set1_epi32(0x400000));
}

/// The same where neither is NaN; of the first the lower 16 bits are cleared, of the second left as they
/// come.
NARROW_INLINE __m512i round_pair(__m512 even, __m512 odd) {
  const __m512i half = _mm512_set1_epi32(0x7fff), one = _mm512_set1_epi32(1);
  const __m512i e = _mm512_castps_si512(even), o = _mm512_castps_si512(odd);
  const __m512i to_even =
      _mm512_add_epi32(_mm512_add_epi32(e, half), _mm512_and_si512(_mm512_srli_epi32(e, 16), one));
  const __m512i to_odd =
      _mm512_add_epi32(_mm512_add_epi32(o, half), _mm512_and_si512(_mm512_srli_epi32(o, 16), one));
  return _mm512_mask_blend_epi16(0xaaaaaaaaU, _mm512_srli_epi32(to_even, 16), to_odd);
}

__attribute__((noinline)) __m512i round_with_nan(__m512 even, __m512 odd) {
  return _mm512_mask_blend_epi16(0xaaaaaaaaU, _mm512_srli_epi32(round_upper(even), 16), round_upper(odd));
}

/// Bounds only: even and odd channels of bf16 meet again in one store.
template <DType kSrc>
NARROW_INLINE void finish_plain(const Strip& s, uint16_t* dst, __mmask32 live, const Pair& sum) {
  const __m512 low = _mm512_set1_ps(s.low), high = _mm512_set1_ps(s.high);
  const __m512 r0 = _mm512_min_ps(high, _mm512_max_ps(low, sum.v[0])),
               r1 = _mm512_min_ps(high, _mm512_max_ps(low, sum.v[1]));
  __m512i both;
  if constexpr (kSrc == DType::f16)
    both = _mm512_inserti64x4(_mm512_castsi256_si512(Simd512::to_f16(r0)), Simd512::to_f16(r1), 1);
  else if (__builtin_expect(_mm512_cmp_ps_mask(r0, r1, _CMP_UNORD_Q) != 0, 0))
    both = round_with_nan(r0, r1);
  else
    both = round_pair(r0, r1);
  _mm512_mask_storeu_epi16(dst, live, both);
}

/// Any types and activation, 16 channels at a time in the order of memory.
__attribute__((noinline)) void finish_any(const DwHalfPlan& p, const DwHalfTask& t, int64_t at,
                                          __mmask32 live, __m512 sum0, __m512 sum1) {
  const IntegerStore integer{1.0F / p.dst_quant.scale, p.dst_quant.zero_point, p.low, p.high};
  Pair sum = {{sum0, sum1}};
  if (p.src_type == DType::bf16) {
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
    sum = {{_mm512_permutex2var_ps(sum0, low, sum1), _mm512_permutex2var_ps(sum0, high, sum1)}};
  }
  NARROW_UNROLL(2)
  for (int v = 0; v < 2; ++v) {
    const auto mask = static_cast<__mmask16>(live >> (16 * v));
    if (mask == 0) continue;
    const int64_t i = at + v * 16;
    const __m512 r = add_residual_lanes(p.residual_type, t.residual, i, mask, p.residual_quant, sum.v[v]);
    store_lanes(p.dst_type, t.dst, i, mask, vapply(p.activation, r), integer);
  }
}

/// kCount neighbouring outputs, all their channels. kWidth 0: any window.
template <DType kSrc, int kCount, int kWidth, int kStep>
void strip(const DwHalfPlan& p, const DwHalfTask& t, const Strip& args) {
  Strip s = args;  // a copy that stores to dst cannot change
  auto* const dst = static_cast<uint16_t*>(t.dst) + s.dst_at;
  for (; s.channel < s.channel_end; s.channel += 32) {
    const __mmask32 live = first_lanes32(s.channel_end - s.channel);
    Pair sum[kCount];
    NARROW_UNROLL(8)
    for (int i = 0; i < kCount; ++i) sum[i] = load_floats(s.bias);
    int64_t at = s.at + s.channel;
    const float* weights = s.weights;
    for (int64_t i = 0; i < s.taps_h; ++i, at += s.line, weights += s.taps_w * 32) {
      if constexpr (kWidth == 0)
        any_taps<kSrc, kCount>(s, at, weights, live, sum);
      else
        row_taps<kSrc, kCount, kWidth, kStep>(s, at, weights, live, sum);
    }
    NARROW_UNROLL(8)
    for (int i = 0; i < kCount; ++i) {
      if (s.plain)
        finish_plain<kSrc>(s, dst + s.channel + i * s.dst_pixel, live, sum[i]);
      else
        finish_any(p, t, s.dst_at + s.channel + i * s.dst_pixel, live, sum[i].v[0], sum[i].v[1]);
    }
    s.weights += s.chunk_weights;
    s.bias += 32;
  }
}

using StripKernel = void (*)(const DwHalfPlan& p, const DwHalfTask& t, const Strip& s);

template <DType kSrc, int kWidth, int kStep>
constexpr StripKernel kStrips[kPixels] = {strip<kSrc, 1, kWidth, kStep>, strip<kSrc, 2, kWidth, kStep>,
                                          strip<kSrc, 3, kWidth, kStep>, strip<kSrc, 4, kWidth, kStep>,
                                          strip<kSrc, 5, kWidth, kStep>, strip<kSrc, 6, kWidth, kStep>,
                                          strip<kSrc, 7, kWidth, kStep>, strip<kSrc, 8, kWidth, kStep>};

template <DType kSrc>
const StripKernel* strips_for(const DwHalfPlan& p) {
  const bool touch = p.dilation_w == 1 && p.stride_w <= 2;
  if (touch && p.kw == 3) return p.stride_w == 1 ? kStrips<kSrc, 3, 1> : kStrips<kSrc, 3, 2>;
  if (touch && p.kw == 5) return p.stride_w == 1 ? kStrips<kSrc, 5, 1> : kStrips<kSrc, 5, 2>;
  return kStrips<kSrc, 0, 1>;
}

/// What all strips of a task have in common.
Strip strip_of(const DwHalfPlan& p, const DwHalfTask& t) {
  Strip s{};
  s.src = static_cast<const uint16_t*>(t.src);
  s.w = p.w;
  s.taps_w = p.kw;
  s.line = p.dilation_h * p.w * p.src_pixel;
  s.tap = p.dilation_w * p.src_pixel;
  s.pixel = p.stride_w * p.src_pixel;
  s.columns = p.stride_w;
  s.dilation_w = p.dilation_w;
  s.bias = p.bias + t.channel_begin;
  s.chunk_weights = p.kh * p.kw * 32;
  s.channel = t.channel_begin;
  s.channel_end = t.channel_end < p.c ? t.channel_end : p.c;
  s.dst_pixel = p.dst_pixel;
  s.low = p.activation.alpha, s.high = p.activation.beta;
  s.plain = p.activation.kind == Act::clip && p.residual_type == DType::undefined && p.dst_type == p.src_type;
  return s;
}

/// Rows of taps [begin, end) of the output row whose first is at source row y.
struct Taps {
  int64_t begin, end;
};

Taps taps_inside(const DwHalfPlan& p, int64_t y) {
  Taps taps{0, p.kh};
  while (taps.begin < taps.end && y + taps.begin * p.dilation_h < 0) ++taps.begin;
  while (taps.begin < taps.end && y + (taps.end - 1) * p.dilation_h >= p.h) --taps.end;
  return taps;
}

/// Bits of the columns from x on that are in the image.
uint32_t columns_inside(int64_t x, int64_t w) {
  constexpr int64_t kBits = 32;
  const int64_t first = x < 0 ? -x : 0, end = w - x;
  const uint64_t below_end = end >= kBits ? ~uint64_t{0} : end <= 0 ? 0 : (uint64_t{1} << end) - 1;
  return first >= kBits ? 0U : static_cast<uint32_t>(below_end >> first << first);
}

}  // namespace

void dw_half_avx512(const DwHalfPlan& p, const DwHalfTask& t) {
  const StripKernel* strips =
      p.src_type == DType::f16 ? strips_for<DType::f16>(p) : strips_for<DType::bf16>(p);
  Strip s = strip_of(p, t);
  const int64_t width = t.column_end - t.column_begin, count = (width + kPixels - 1) / kPixels;
  for (int64_t y = t.row_begin; y < t.row_end; ++y) {
    const int64_t first = y * p.stride_h - p.pad_top;
    const Taps taps = taps_inside(p, first);
    const int64_t line = (t.image * p.h + first + taps.begin * p.dilation_h) * p.w;
    s.taps_h = taps.end - taps.begin;
    s.weights = p.weights + (t.channel_begin / 32 * p.kh + taps.begin) * p.kw * 32;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t x = t.column_begin + width * i / count, end = t.column_begin + width * (i + 1) / count;
      s.x = x * p.stride_w - p.pad_left;
      s.at = (line + s.x) * p.src_pixel;
      s.inside = columns_inside(s.x, p.w);
      s.dst_at = ((t.image * p.oh + y) * p.ow + x) * p.dst_pixel;
      strips[end - x - 1](p, t, s);
    }
  }
}

}  // namespace narrow::kernels
