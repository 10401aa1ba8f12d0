#include "kernels/lanes/lanes_avx512.h"
#include "kernels/quantize/codes.h"

namespace narrow::kernels {
namespace {

constexpr QuantLanes kNoQuant = {};

/// round_half_even(x / scale) + zero_point, saturated; the sum in float as in numerics/quantization.h. NaN
/// becomes the lowest value because max takes its second operand.
template <DType kDst>
inline __m512i encode(__m512 x, __m512 scale, __m512i zero_point) {
  const __m512 low = _mm512_set1_ps(kDst == DType::u8 ? 0.0F : -128.0F),
               high = _mm512_set1_ps(kDst == DType::u8 ? 255.0F : 127.0F);
  const __m512 q = _mm512_add_ps(Simd512::round(_mm512_div_ps(x, scale)), _mm512_cvtepi32_ps(zero_point));
  return _mm512_cvttps_epi32(_mm512_min_ps(_mm512_max_ps(q, low), high));
}

template <DType kSrc, DType kDst>
void quantize(const CodeRun& run) {
  __m512 scale = _mm512_set1_ps(*run.scale);
  __m512i zero_point = _mm512_set1_epi32(*run.zero_point);
  for (int64_t i = 0; i < run.n; i += 16) {
    const __mmask16 live = first_lanes16(run.n - i);
    if (run.per_element) {
      scale = _mm512_maskz_loadu_ps(live, run.scale + i);
      zero_point = _mm512_maskz_loadu_epi32(live, run.zero_point + i);
    }
    store_ints16<kDst>(run.to, i, live,
                       encode<kDst>(load16<kSrc>(run.from, i, live, kNoQuant), scale, zero_point));
  }
}

template <DType kSrc>
inline __m512i load_codes(const void* src, int64_t i, __mmask16 live) {
  if constexpr (kSrc == DType::s32)
    return _mm512_maskz_loadu_epi32(live, static_cast<const int32_t*>(src) + i);
  else
    return load_ints16<kSrc>(src, i, live);
}

template <DType kSrc, DType kDst>
void dequantize(const CodeRun& run) {
  __m512 scale = _mm512_set1_ps(*run.scale);
  __m512i zero_point = _mm512_set1_epi32(*run.zero_point);
  for (int64_t i = 0; i < run.n; i += 16) {
    const __mmask16 live = first_lanes16(run.n - i);
    if (run.per_element) {
      scale = _mm512_maskz_loadu_ps(live, run.scale + i);
      zero_point = _mm512_maskz_loadu_epi32(live, run.zero_point + i);
    }
    const __m512i centred = _mm512_sub_epi32(load_codes<kSrc>(run.from, i, live), zero_point);
    store16<kDst>(run.to, i, live, _mm512_mul_ps(_mm512_cvtepi32_ps(centred), scale), kNoQuant);
  }
}

template <DType kSrc>
void dequantize_from(const CodeRun& run) {
  if (run.dst == DType::f32) return dequantize<kSrc, DType::f32>(run);
  if (run.dst == DType::bf16) return dequantize<kSrc, DType::bf16>(run);
  dequantize<kSrc, DType::f16>(run);
}

template <DType kSrc>
void quantize_from(const CodeRun& run) {
  if (run.dst == DType::u8) return quantize<kSrc, DType::u8>(run);
  quantize<kSrc, DType::s8>(run);
}

}  // namespace

void quantize_run_avx512(const CodeRun& run) {
  if (run.src == DType::f32) return quantize_from<DType::f32>(run);
  if (run.src == DType::bf16) return quantize_from<DType::bf16>(run);
  quantize_from<DType::f16>(run);
}

void dequantize_run_avx512(const CodeRun& run) {
  if (run.src == DType::u8) return dequantize_from<DType::u8>(run);
  if (run.src == DType::s8) return dequantize_from<DType::s8>(run);
  dequantize_from<DType::s32>(run);
}

void range_avx512(const float* x, int64_t n, float* low, float* high) {
  __m512 least = _mm512_setzero_ps(), most = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += 16) {
    const __m512 v = _mm512_maskz_loadu_ps(first_lanes16(n - i), x + i);
    least = _mm512_min_ps(v, least);
    most = _mm512_max_ps(v, most);
  }
  *low = _mm512_reduce_min_ps(least);
  *high = _mm512_reduce_max_ps(most);
}

}  // namespace narrow::kernels
