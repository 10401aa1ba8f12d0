#include "kernels/lanes/lanes_avx512.h"
#include "kernels/statistics/statistics.h"

namespace narrow::kernels {
namespace {

void extent(const float* x, int64_t n, Extent& e) {
  const __m512 largest = _mm512_set1_ps(__FLT_MAX__), smallest = _mm512_set1_ps(-__FLT_MAX__);
  __m512 low = _mm512_set1_ps(e.min), high = _mm512_set1_ps(e.max);
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = first_lanes16(n - i);
    const __m512 v = _mm512_maskz_loadu_ps(live, x + i);
    const __mmask16 finite = _mm512_mask_cmp_ps_mask(_mm512_mask_cmp_ps_mask(live, v, largest, _CMP_LE_OQ), v,
                                                     smallest, _CMP_GE_OQ);
    low = _mm512_mask_min_ps(low, finite, low, v);
    high = _mm512_mask_max_ps(high, finite, high, v);
    e.finite += __builtin_popcount(finite);
    e.zeros += __builtin_popcount(_mm512_mask_cmp_ps_mask(live, v, _mm512_setzero_ps(), _CMP_EQ_OQ));
    e.nans += __builtin_popcount(_mm512_mask_cmp_ps_mask(live, v, v, _CMP_UNORD_Q));
  }
  e.min = _mm512_reduce_min_ps(low);
  e.max = _mm512_reduce_max_ps(high);
}

void bins(const float* x, int64_t n, float scale, int32_t count, int32_t* indices) {
  const __m512 zero = _mm512_setzero_ps(), factor = _mm512_set1_ps(scale);
  const __m512i one = _mm512_set1_epi32(1), middle = _mm512_set1_epi32(count / 2),
                last = _mm512_set1_epi32(count - 1);
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = first_lanes16(n - i);
    const __m512 v = _mm512_maskz_loadu_ps(live, x + i), scaled = _mm512_mul_ps(v, factor);
    const __m512i truncated = _mm512_cvttps_epi32(scaled);
    const __mmask16 vanished =
        _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(scaled, zero, _CMP_EQ_OQ), v, zero, _CMP_LT_OQ);
    const __mmask16 below = vanished | _mm512_cmp_ps_mask(scaled, _mm512_cvtepi32_ps(truncated), _CMP_LT_OQ);
    __m512i bin = _mm512_add_epi32(truncated, middle);
    bin = _mm512_mask_sub_epi32(bin, below, bin, one);
    bin = _mm512_min_epi32(last, _mm512_max_epi32(_mm512_setzero_si512(), bin));
    _mm512_mask_storeu_epi32(indices + i, live, bin);
  }
}

/// Sixteen channels stay in registers for all rows.
void channels(const float* x, int64_t rows, int64_t pitch, int64_t count, const ChannelStatistics& s) {
  for (int64_t c = 0; c < count; c += 16) {
    const __mmask16 live = first_lanes16(count - c);
    const auto live_low = static_cast<__mmask8>(live), live_high = static_cast<__mmask8>(live >> 8);
    __m512 low = _mm512_maskz_loadu_ps(live, s.low + c), high = _mm512_maskz_loadu_ps(live, s.high + c);
    __m512d first = _mm512_maskz_loadu_pd(live_low, s.total + c),
            second = _mm512_maskz_loadu_pd(live_high, s.total + c + 8);
    __m512d first_square = _mm512_maskz_loadu_pd(live_low, s.square + c),
            second_square = _mm512_maskz_loadu_pd(live_high, s.square + c + 8);
    for (int64_t r = 0; r < rows; ++r) {
      const __m512 v = _mm512_maskz_loadu_ps(live, x + r * pitch + c);
      low = _mm512_min_ps(v, low);  // the second operand when v is NaN
      high = _mm512_max_ps(v, high);
      const __m512d left = _mm512_cvtps_pd(_mm512_castps512_ps256(v)),
                    right = _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1));
      first = _mm512_add_pd(first, left);
      second = _mm512_add_pd(second, right);
      first_square = _mm512_fmadd_pd(left, left, first_square);  // the product is exact
      second_square = _mm512_fmadd_pd(right, right, second_square);
    }
    _mm512_mask_storeu_ps(s.low + c, live, low);
    _mm512_mask_storeu_ps(s.high + c, live, high);
    _mm512_mask_storeu_pd(s.total + c, live_low, first);
    _mm512_mask_storeu_pd(s.total + c + 8, live_high, second);
    _mm512_mask_storeu_pd(s.square + c, live_low, first_square);
    _mm512_mask_storeu_pd(s.square + c + 8, live_high, second_square);
  }
}

constexpr StatisticsKernels kKernels = {extent, bins, channels};

}  // namespace

const StatisticsKernels& statistics_avx512() { return kKernels; }

}  // namespace narrow::kernels
