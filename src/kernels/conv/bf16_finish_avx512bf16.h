// What happens to FP32 sums of bf16 products, for files with the AVX512-BF16 flags (hence the unnamed
// namespace).
#pragma once

#include "kernels/conv/bf16_task.h"
#include "kernels/conv/narrow_out_avx512.h"
#include "kernels/conv/row_pairs.h"

namespace narrow::kernels {
namespace {

#define NARROW_BF16_INLINE inline __attribute__((always_inline))

using Bf16Sums = ConvSums<float>;

/// bf16 or f16 from sums with bounds only, with or without a residual of the same type: pairs of rows of 32
/// columns. kBare: no upper bound, all columns.
template <bool kF16, bool kResidual, bool kBare>
class HalfPairs : public RowPairs<HalfPairs<kF16, kResidual, kBare>> {
 public:
  NARROW_BF16_INLINE HalfPairs(const Bf16Finish& f, const ConvRows& rows, const Bf16Sums& s)
      : RowPairs<HalfPairs>((rows.count + 1) / 2),
        low_(_mm512_set1_ps(f.activation.alpha)),
        high_(_mm512_set1_ps(f.activation.beta)),
        bias0_(_mm512_load_ps(f.bias + s.at)),
        bias1_(_mm512_load_ps(f.bias + s.at + 16)),
        live_(first_lanes32(s.columns)),
        residual_(static_cast<const uint16_t*>(f.residual) + s.channel),
        dst_(static_cast<uint16_t*>(f.dst) + s.channel),
        c_(s.c),
        rows_(rows) {}

  NARROW_BF16_INLINE void finish_pair() {
    const RowPair pair = rows_.take();
    finish_sums(pair.element0, pair.element1, sums_at(pair.sums0), sums_at(pair.sums1));
  }

  /// 32 sums of a row; those of the right half may be none: not computed, nor stored.
  struct Sums {
    __m512 left, right;
  };

  /// Two rows that are still in registers. Both are read before either is written: dst may be the memory of
  /// the residual.
  template <bool kRight = true>
  NARROW_BF16_INLINE void finish_sums(int64_t at0, int64_t at1, Sums sums0, Sums sums1) {
    const __m512i first = row<kRight>(sums0, at0), second = row<kRight>(sums1, at1);
    store<kRight>(at0, first);
    store<kRight>(at1, second);
  }

 private:
  NARROW_BF16_INLINE Sums sums_at(int64_t at) const {
    return {_mm512_load_ps(c_ + at), _mm512_load_ps(c_ + at + 16)};
  }

  template <bool kRight>
  NARROW_BF16_INLINE __m512i row(Sums sums, int64_t at) const {
    const __m512 r0 = bounded(sums.left, bias0_, residual_ + at, static_cast<__mmask16>(live_));
    if constexpr (!kRight) return _mm512_castsi256_si512(half_of(r0));
    const __m512 r1 = bounded(sums.right, bias1_, residual_ + at + 16, static_cast<__mmask16>(live_ >> 16));
    if constexpr (kF16) return _mm512_inserti64x4(_mm512_castsi256_si512(half_of(r0)), half_of(r1), 1);
    return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(r1, r0));
  }
  NARROW_BF16_INLINE __m512 bounded(__m512 sum, __m512 bias, const uint16_t* residual, __mmask16 live) const {
    __m512 r = _mm512_add_ps(sum, bias);
    if constexpr (kResidual) r = _mm512_add_ps(r, load(residual, live));
    r = _mm512_max_ps(low_, r);
    return kBare ? r : _mm512_min_ps(high_, r);
  }
  NARROW_BF16_INLINE static __m256i half_of(__m512 r) {
    return kF16 ? Simd512::to_f16(r) : reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(r));
  }
  template <bool kRight>
  NARROW_BF16_INLINE void store(int64_t at, __m512i row) const {
    if constexpr (kBare)
      _mm512_storeu_si512(dst_ + at, row);
    else if constexpr (kRight)
      _mm512_mask_storeu_epi16(dst_ + at, live_, row);
    else
      _mm256_mask_storeu_epi16(dst_ + at, static_cast<__mmask16>(live_), _mm512_castsi512_si256(row));
  }
  NARROW_BF16_INLINE static __m512 load(const uint16_t* from, __mmask16 live) {
    return kF16 ? Simd512::load_f16(from, live) : Simd512::load_bf16(from, live);
  }

  __m512 low_, high_, bias0_, bias1_;
  __mmask32 live_;
  const uint16_t* residual_;
  uint16_t* dst_;
  const float* c_;
  MappedRows rows_;
};

/// Whether HalfPairs can; otherwise bf16_finish_any() does.
bool bf16_stays_half(const Bf16Finish& f) {
  return (f.dst_type == DType::bf16 || f.dst_type == DType::f16) && f.activation.kind == Act::clip &&
         (f.residual_type == DType::undefined || f.residual_type == f.dst_type);
}

template <bool kF16, class F>
NARROW_BF16_INLINE void with_half_pairs_of(const Bf16Finish& f, int64_t columns, F&& call) {
  const bool bare = columns >= 32 && f.activation.beta == __builtin_inff();
  if (f.residual_type == DType::undefined) {
    if (bare)
      call.template operator()<HalfPairs<kF16, false, true>>();
    else
      call.template operator()<HalfPairs<kF16, false, false>>();
  } else if (bare) {
    call.template operator()<HalfPairs<kF16, true, true>>();
  } else {
    call.template operator()<HalfPairs<kF16, true, false>>();
  }
}

/// Calls f<the HalfPairs this finish wants>(); only where it stays in 16 bits.
template <class F>
NARROW_BF16_INLINE void with_half_pairs(const Bf16Finish& f, int64_t columns, F&& call) {
  if (f.dst_type == DType::f16)
    with_half_pairs_of<true>(f, columns, call);
  else
    with_half_pairs_of<false>(f, columns, call);
}

/// Any types and activation.
void bf16_finish_any(const Bf16Finish& f, const ConvRows& rows, const Bf16Sums& s) {
  const IntegerStore integer{1.0F / f.dst_quant.scale, f.dst_quant.zero_point, f.low, f.high};
  for (int64_t row = 0; row < rows.count; ++row)
    for (int64_t column = 0; column < s.columns; column += 16) {
      const __mmask16 live = first_lanes16(s.columns - column);
      const int64_t i = rows.element[row] + s.channel + column;
      __m512 r = _mm512_add_ps(_mm512_load_ps(s.c + rows.sums[row] + column),
                               _mm512_load_ps(f.bias + s.at + column));
      r = add_residual_lanes(f.residual_type, f.residual, i, live, f.residual_quant, r);
      store_lanes(f.dst_type, f.dst, i, live, vapply(f.activation, r), integer);
    }
}

}  // namespace
}  // namespace narrow::kernels
