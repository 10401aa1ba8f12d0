// int32 sums to stored elements with AVX-512, equal to kernels/requantize.h bit for bit. Local to the
// including file.
#pragma once

#include "kernels/byte_function_avx512.h"
#include "kernels/conv/row_pairs.h"
#include "kernels/conv/s8_task.h"
#include "kernels/lanes/lanes_avx512.h"
#include "kernels/math/vmath_avx512.h"

namespace narrow::kernels {
namespace {

NARROW_LANE_INLINE __mmask32 first_lanes32(int64_t n) {
  return n >= 32 ? ~__mmask32{0} : (__mmask32{1} << n) - 1U;
}

/// What is added to the sums' real value, byte by byte.
enum class S8Added { nothing, u8, any_byte };

/// What makes bytes of rounded words: packing alone, which bounds to u8; a zero point and bounds; a function.
enum class S8Leave { bare, bounded, function };

/// What sums are: whole, short of the bias, or whole and floats (kernels/requantize.h), which takes one
/// instruction less.
enum class S8Sum { whole, without_bias, on_float };

/// Integer dst that only bounds, with or without an integer residual: pairs of rows of 32 columns. AMX takes
/// some pairs at a time between its own instructions, so what counts is the number of instructions: bare is
/// the case whose bounds are those of u8 and whose zero point is 0, 32 columns at a time, of a u8 residual.
///
/// A residual byte q becomes the float 2^23 + q in one permutation, its bits being 0x4b0000qq; 2^23 + zero
/// point off that is exact.
///
/// Works in u8 (behind a function in s8); the other goes in and out by flipping the top bit, with 128 added
/// to zero point and bounds. Saturating at 16 bits before adding the zero point changes nothing, being far
/// outside the type's range.
template <S8Added kAdded, S8Leave kLeave, S8Sum kSum, class Rows>
class S8Pairs : public RowPairs<S8Pairs<kAdded, kLeave, kSum, Rows>> {
 public:
  NARROW_LANE_INLINE S8Pairs(const S8Finish& f, const Rows& rows, const S8Sums& s)
      : RowPairs<S8Pairs>(rows.pairs()),
        order_(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)),
        scale0_(_mm512_loadu_ps(f.scale + s.at)),
        scale1_(_mm512_loadu_ps(f.scale + s.at + 16)),
        dst_(static_cast<uint8_t*>(f.dst) + s.channel),
        c_(s.c),
        rows_(rows) {
    if constexpr (kSum == S8Sum::without_bias)
      bias0_ = _mm512_loadu_si512(f.bias + s.at), bias1_ = _mm512_loadu_si512(f.bias + s.at + 16);
    if constexpr (kSum == S8Sum::on_float)
      back0_ = _mm512_loadu_ps(f.back + s.at), back1_ = _mm512_loadu_ps(f.back + s.at + 16);
    if constexpr (kLeave == S8Leave::function) function_ = f.function;
    if constexpr (kLeave != S8Leave::bare) {
      const int flip = f.dst_type == DType::s8 ? 128 : 0;
      zero_ = _mm512_set1_epi16(static_cast<int16_t>(f.out_zero + flip));
      low_ = _mm512_set1_epi8(static_cast<char>(f.low + flip));
      high_ = _mm512_set1_epi8(static_cast<char>(f.high + flip));
      flip_ = _mm512_set1_epi8(static_cast<char>(kLeave == S8Leave::function ? flip ^ 128 : flip));
      live_ = first_lanes32(s.columns);
    }
    if constexpr (kAdded == S8Added::nothing) return;
    residual_ = static_cast<const uint8_t*>(f.residual) + s.channel;
    residual_scale_ = _mm512_set1_ps(f.residual_scale);
    const int32_t added = f.residual_type == DType::s8 ? 128 : 0;
    residual_zero_ = _mm512_set1_ps(static_cast<float>((1 << 23) + f.residual_zero + added));
    residual_flip_ = _mm256_set1_epi8(static_cast<char>(added));
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    spread0_ = _mm512_or_si512(lane, _mm512_set1_epi32(0x20212100));  // byte 32 is 0x4b, byte 33 is 0
    spread1_ = _mm512_or_si512(lane, _mm512_set1_epi32(0x20212110));
    magic_ = _mm256_set1_epi16(0x4b);
  }

  NARROW_LANE_INLINE void finish_pair() {
    const RowPair pair = rows_.take();
    finish_sums(pair.element0, pair.element1, load(c_ + pair.sums0), load(c_ + pair.sums1));
  }

  /// 32 sums of a row; those of the right half may be none: not computed, nor stored.
  struct Sums {
    __m512i left, right;
  };

  /// Two rows that are still in registers.
  template <bool kRight = true>
  NARROW_LANE_INLINE void finish_sums(int64_t at0, int64_t at1, Sums sums0, Sums sums1) {
    const __m512i x0 = added(at0), x1 = added(at1);
    const __m512i q00 = left(sums0.left, x0), q10 = left(sums1.left, x1);
    __m512i q01 = _mm512_setzero_si512(), q11 = q01;
    if constexpr (kRight) q01 = right(sums0.right, x0), q11 = right(sums1.right, x1);
    const __m512i row0 = leaving(_mm512_packs_epi32(q00, q01)), row1 = leaving(_mm512_packs_epi32(q10, q11));
    const __m512i bytes = _mm512_permutexvar_epi32(order_, packed(row0, row1));
    if constexpr (kLeave == S8Leave::bare) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst_ + at0), _mm512_castsi512_si256(bytes));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst_ + at1), _mm512_extracti64x4_epi64(bytes, 1));
    } else {
      const __m512i bounded =
          kLeave == S8Leave::function ? bytes : _mm512_max_epu8(_mm512_min_epu8(bytes, high_), low_);
      const __m512i out = _mm512_xor_si512(bounded, flip_);
      _mm256_mask_storeu_epi8(dst_ + at0, live_, _mm512_castsi512_si256(out));
      _mm256_mask_storeu_epi8(dst_ + at1, live_, _mm512_extracti64x4_epi64(out, 1));
    }
  }

 private:
  NARROW_LANE_INLINE __m512i leaving(__m512i words) const {
    if constexpr (kLeave == S8Leave::bare) return words;
    if constexpr (kLeave == S8Leave::function) return function_words(*function_, words);
    return _mm512_adds_epi16(words, zero_);
  }

  NARROW_LANE_INLINE static __m512i packed(__m512i row0, __m512i row1) {
    if constexpr (kLeave == S8Leave::function) return _mm512_packs_epi16(row0, row1);
    return _mm512_packus_epi16(row0, row1);
  }

  /// 32 bytes of the residual, then what they are spread with.
  NARROW_LANE_INLINE __m512i added(int64_t at) const {
    if constexpr (kAdded == S8Added::nothing) return _mm512_setzero_si512();
    __m256i bytes;
    if constexpr (kLeave == S8Leave::bare)
      bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(residual_ + at));
    else
      bytes = _mm256_maskz_loadu_epi8(live_, residual_ + at);
    if constexpr (kAdded == S8Added::any_byte) bytes = _mm256_xor_si256(bytes, residual_flip_);
    return _mm512_inserti64x4(_mm512_castsi256_si512(bytes), magic_, 1);
  }

  NARROW_LANE_INLINE static Sums load(const int32_t* sums) {
    return {_mm512_load_si512(sums), _mm512_load_si512(sums + 16)};
  }
  NARROW_LANE_INLINE __m512i left(__m512i sums, __m512i added) const {
    return q(sums, bias0_, scale0_, back0_, added, spread0_);
  }
  NARROW_LANE_INLINE __m512i right(__m512i sums, __m512i added) const {
    return q(sums, bias1_, scale1_, back1_, added, spread1_);
  }

  /// Sixteen rounded values in units of dst's scale, without its zero point.
  NARROW_LANE_INLINE __m512i q(__m512i sum, __m512i bias, __m512 scale, __m512 back, __m512i added,
                               __m512i spread) const {
    if constexpr (kSum == S8Sum::without_bias) sum = _mm512_add_epi32(sum, bias);
    __m512 r;
    if constexpr (kSum == S8Sum::on_float)
      r = _mm512_fmadd_ps(_mm512_castsi512_ps(sum), scale, back);
    else
      r = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale);
    if constexpr (kAdded != S8Added::nothing) {
      const __m512 biased = _mm512_castsi512_ps(_mm512_permutexvar_epi8(spread, added));
      r = _mm512_fmadd_ps(_mm512_sub_ps(biased, residual_zero_), residual_scale_, r);
    }
    return _mm512_cvtps_epi32(r);
  }

  __m512i order_, bias0_, bias1_, zero_, low_, high_, flip_;
  __m512 scale0_, scale1_, back0_, back1_;
  __mmask32 live_;
  const ByteFunction* function_;
  uint8_t* dst_;
  const int32_t* c_;
  Rows rows_;
  const uint8_t* residual_ = nullptr;
  __m512 residual_scale_, residual_zero_;
  __m256i residual_flip_, magic_;
  __m512i spread0_, spread1_;
};

/// Calls f<the S8Pairs this finish wants>(); only where it stays in bytes. Who is called makes it: an
/// argument would go through memory, registers and all.
template <S8Sum kSum, class Rows, class F>
NARROW_LANE_INLINE void with_s8_pairs(const S8Finish& f, int64_t columns, F&& call) {
  const bool bare =
      f.dst_type == DType::u8 && f.out_zero == 0 && f.low == 0 && f.high == 255 && columns >= 32;
  if (f.residual_type == DType::undefined) {
    if (bare)
      call.template operator()<S8Pairs<S8Added::nothing, S8Leave::bare, kSum, Rows>>();
    else if (f.function != nullptr)
      call.template operator()<S8Pairs<S8Added::nothing, S8Leave::function, kSum, Rows>>();
    else
      call.template operator()<S8Pairs<S8Added::nothing, S8Leave::bounded, kSum, Rows>>();
  } else if (bare && f.residual_type == DType::u8) {
    call.template operator()<S8Pairs<S8Added::u8, S8Leave::bare, kSum, Rows>>();
  } else if (f.function != nullptr) {
    call.template operator()<S8Pairs<S8Added::any_byte, S8Leave::function, kSum, Rows>>();
  } else {
    call.template operator()<S8Pairs<S8Added::any_byte, S8Leave::bounded, kSum, Rows>>();
  }
}

const QuantLanes kNoQuant{};  // load16 and store16 want one for floats too

NARROW_LANE_INLINE __m512 s8_add_residual(const S8Finish& f, int64_t at, __mmask16 live, __m512 r) {
  const __m512i zero = _mm512_set1_epi32(f.residual_zero);
  const __m512 scale = _mm512_set1_ps(f.residual_scale);
  switch (f.residual_type) {
    case DType::f32:
      return _mm512_add_ps(r, load16<DType::f32>(f.residual, at, live, kNoQuant));
    case DType::bf16:
      return _mm512_add_ps(r, load16<DType::bf16>(f.residual, at, live, kNoQuant));
    case DType::f16:
      return _mm512_add_ps(r, load16<DType::f16>(f.residual, at, live, kNoQuant));
    case DType::u8:
      return _mm512_fmadd_ps(
          _mm512_cvtepi32_ps(_mm512_sub_epi32(load_ints16<DType::u8>(f.residual, at, live), zero)), scale, r);
    case DType::s8:
      return _mm512_fmadd_ps(
          _mm512_cvtepi32_ps(_mm512_sub_epi32(load_ints16<DType::s8>(f.residual, at, live), zero)), scale, r);
    default:
      return r;
  }
}

NARROW_LANE_INLINE void s8_store(const S8Finish& f, int64_t at, __mmask16 live, __m512 r) {
  if (f.dst_type == DType::f32) return store16<DType::f32>(f.dst, at, live, r, kNoQuant);
  if (f.dst_type == DType::bf16) return store16<DType::bf16>(f.dst, at, live, r, kNoQuant);
  if (f.dst_type == DType::f16) return store16<DType::f16>(f.dst, at, live, r, kNoQuant);
  const __m512i q =
      round_lanes(_mm512_mul_ps(r, _mm512_set1_ps(f.inverse_out_scale)), _mm512_set1_epi32(f.out_zero));
  __m512i bounded =
      _mm512_max_epi32(_mm512_min_epi32(q, _mm512_set1_epi32(f.high)), _mm512_set1_epi32(f.low));
  if (f.function != nullptr) bounded = function_lanes(*f.function, bounded, f.dst_type == DType::u8);
  _mm_mask_storeu_epi8(static_cast<uint8_t*>(f.dst) + at, live, _mm512_cvtepi32_epi8(bounded));
}

/// Any types, any activation.
template <bool kBias>
void s8_finish_any(const S8Finish& f, const ConvRows& rows, const S8Sums& s) {
  for (int64_t i = 0; i < rows.count; ++i)
    for (int64_t column = 0; column < s.columns; column += 16) {
      const __mmask16 live = first_lanes16(s.columns - column);
      const int64_t at = rows.element[i] + s.channel + column;
      __m512i sum = _mm512_load_si512(s.c + rows.sums[i] + column);
      if constexpr (kBias) sum = _mm512_add_epi32(sum, _mm512_loadu_si512(f.bias + s.at + column));
      const __m512 r = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(f.scale + s.at + column));
      s8_store(f, at, live, vapply(f.activation, s8_add_residual(f, at, live, r)));
    }
}

}  // namespace
}  // namespace narrow::kernels
