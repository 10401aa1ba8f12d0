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

/// Whether 1 / scale and what is near a code times scale are ordinary numbers.
bool has_reciprocal(float scale) { return scale > 0x1p-100F && scale < 0x1p100F; }

/// One scale for all, without divisions: 64 at a time. x * (1 / scale) and x / scale, both rounded, are at
/// most 1.1e-4 apart where the code is not saturated either way (|x / scale| < 600: three roundings of 2^-24
/// each), and round to the same integer unless one is so near the middle of two: then they are divided.
template <DType kSrc, DType kDst>
class Quantizer {
 public:
  explicit Quantizer(const CodeRun& run)
      : run_(run),
        inverse_(_mm512_set1_ps(1.0F / *run.scale)),
        zero_point_(_mm512_set1_epi16(static_cast<int16_t>(*run.zero_point))),
        order_(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)) {}

  void quantize_all() const {
    int64_t i = 0;
    for (; i + 64 <= run_.n; i += 64) {
      const Ratios r{{ratio(i, 0xffff), ratio(i + 16, 0xffff), ratio(i + 32, 0xffff), ratio(i + 48, 0xffff)}};
      const Codes codes = round(r);
      if (codes.doubtful != 0)
        divide(i, 64);
      else
        _mm512_storeu_si512(static_cast<uint8_t*>(run_.to) + i, codes.bytes);
    }
    if (i < run_.n) divide(i, run_.n - i);
  }

 private:
  struct Ratios {
    __m512 v[4];
  };
  struct Codes {
    __m512i bytes;
    __mmask16 doubtful;
  };

  /// At most 2^24; NaN stays.
  NARROW_LANE_INLINE __m512 ratio(int64_t i, __mmask16 live) const {
    const __m512 x = load16<kSrc>(run_.from, i, live, kNoQuant);
    return _mm512_min_ps(_mm512_set1_ps(0x1p24F), _mm512_mul_ps(x, inverse_));
  }

  NARROW_LANE_INLINE Codes round(const Ratios& r) const {
    __m512i q[4];
    __m512 most = _mm512_setzero_ps();
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      q[v] = _mm512_cvtps_epi32(r.v[v]);
      most = _mm512_max_ps(_mm512_abs_ps(_mm512_sub_ps(r.v[v], _mm512_cvtepi32_ps(q[v]))), most);
    }
    const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), zero_point_),
                  high = _mm512_adds_epi16(_mm512_packs_epi32(q[2], q[3]), zero_point_);
    const __m512i bytes = kDst == DType::u8 ? _mm512_packus_epi16(low, high) : _mm512_packs_epi16(low, high);
    return {_mm512_permutexvar_epi32(order_, bytes),
            _mm512_cmp_ps_mask(most, _mm512_set1_ps(0.4998F), _CMP_GT_OQ)};
  }

  void divide(int64_t i, int64_t n) const {
    CodeRun part = run_;
    part.from = static_cast<const uint8_t*>(run_.from) + i * (kSrc == DType::f32 ? 4 : 2);
    part.to = static_cast<uint8_t*>(run_.to) + i;
    part.n = n;
    quantize<kSrc, kDst>(part);
  }

  const CodeRun& run_;
  __m512 inverse_;
  __m512i zero_point_, order_;
};

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

template <DType kSrc, DType kDst>
void quantize_to(const CodeRun& run) {
  if (!run.per_element && has_reciprocal(*run.scale)) return Quantizer<kSrc, kDst>(run).quantize_all();
  quantize<kSrc, kDst>(run);
}

template <DType kSrc>
void quantize_from(const CodeRun& run) {
  if (run.dst == DType::u8) return quantize_to<kSrc, DType::u8>(run);
  quantize_to<kSrc, DType::s8>(run);
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
