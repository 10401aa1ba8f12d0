// 4 x 16 sums of bytes in registers:  C[4,16] = start + A[4,K] x B[K,16]
//
// vpmaddubsw would saturate at 16 bits, so bytes widen to 16 bits first and vpmaddwd sums pairs exactly. Of
// each four bytes of K the even ones and the odd ones form two operands: shifts widen in place, no shuffles.
#include <immintrin.h>

#include "kernels/conv/s8_task.h"
#include "kernels/conv/walk_loop.h"

namespace narrow::kernels {
namespace {

#define NARROW_S8_INLINE inline __attribute__((always_inline))

NARROW_S8_INLINE int32_t load_four(const uint8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return four;
}

struct Halves {
  __m256i even, odd;
};
NARROW_S8_INLINE Halves widen_signed(__m256i bytes) {
  return {_mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8), _mm256_srai_epi16(bytes, 8)};
}
NARROW_S8_INLINE Halves widen_unsigned(__m256i bytes) {
  return {_mm256_and_si256(bytes, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(bytes, 8)};
}
NARROW_S8_INLINE __m256i add_products(__m256i sum, const Halves& a, const Halves& b) {
  return _mm256_add_epi32(
      sum, _mm256_add_epi32(_mm256_madd_epi16(a.even, b.even), _mm256_madd_epi16(a.odd, b.odd)));
}
NARROW_S8_INLINE __m256i load_bytes(const int8_t* p) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
}

template <bool kSigned, int kM>
void s8_dots(const S8Args& g, const uint8_t* a, const int8_t* b, const int32_t* start, int32_t* c) {
  __m256i sum0[kM], sum1[kM];
#pragma GCC unroll 4
  for (int m = 0; m < kM; ++m) {
    sum0[m] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(start));
    sum1[m] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(start + 8));
  }
  for (int64_t segment = 0; segment < g.segments; ++segment) {
    const uint8_t* run = a + g.offsets[segment];
    for (int64_t k = 0; k < g.segment_bytes; k += 4, b += 64) {
      const Halves b0 = widen_signed(load_bytes(b)), b1 = widen_signed(load_bytes(b + 32));
#pragma GCC unroll 4
      for (int m = 0; m < kM; ++m) {
        const __m256i four = _mm256_set1_epi32(load_four(run + k + m * g.a_stride));
        const Halves x = kSigned ? widen_signed(four) : widen_unsigned(four);
        sum0[m] = add_products(sum0[m], x, b0);
        sum1[m] = add_products(sum1[m], x, b1);
      }
    }
  }
#pragma GCC unroll 4
  for (int m = 0; m < kM; ++m) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(c + m * 16), sum0[m]);
    _mm256_store_si256(reinterpret_cast<__m256i*>(c + m * 16 + 8), sum1[m]);
  }
}

NARROW_S8_INLINE __m256i load_residual(DType type, const uint8_t* p) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return type == DType::u8 ? _mm256_cvtepu8_epi32(bytes) : _mm256_cvtepi8_epi32(bytes);
}

/// Eight sums of pixel element `at` to integers, not yet bounded.
NARROW_S8_INLINE __m256i finish_eight(const S8Finish& f, const int32_t* c, const float* scale, int64_t at) {
  const __m256 sum = _mm256_cvtepi32_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(c)));
  const __m256 r = _mm256_mul_ps(sum, _mm256_loadu_ps(scale));
  if (f.residual_type == DType::undefined) return _mm256_cvtps_epi32(r);
  const __m256i added = load_residual(f.residual_type, static_cast<const uint8_t*>(f.residual) + at);
  const __m256 x = _mm256_cvtepi32_ps(_mm256_sub_epi32(added, _mm256_set1_epi32(f.residual_zero)));
  return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_fmadd_ps(x, _mm256_set1_ps(f.residual_scale), r),
                                          _mm256_set1_ps(f.inverse_out_scale)));
}

/// Sixteen columns, integer dst, bounds only; the order of saturations as in s8_finish_avx512.h.
void finish_bytes(const S8Finish& f, const ConvRows& rows, const S8Sums& s) {
  const __m256i zero = _mm256_set1_epi16(static_cast<int16_t>(f.out_zero));
  const __m128i low = _mm_set1_epi8(static_cast<char>(f.low)),
                high = _mm_set1_epi8(static_cast<char>(f.high));
  for (int64_t i = 0; i < rows.count; ++i) {
    const int64_t at = rows.element[i] + s.channel;
    const int32_t* c = s.c + rows.sums[i];
    const float* scale = f.scale + s.at;
    const __m256i words =
        _mm256_packs_epi32(finish_eight(f, c, scale, at), finish_eight(f, c + 8, scale + 8, at + 8));
    const __m256i q = _mm256_adds_epi16(_mm256_permute4x64_epi64(words, 0xd8), zero);
    const __m128i q0 = _mm256_castsi256_si128(q), q1 = _mm256_extracti128_si256(q, 1);
    const __m128i bytes = f.dst_type == DType::u8
                              ? _mm_max_epu8(_mm_min_epu8(_mm_packus_epi16(q0, q1), high), low)
                              : _mm_max_epi8(_mm_min_epi8(_mm_packs_epi16(q0, q1), high), low);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(static_cast<uint8_t*>(f.dst) + at), bytes);
  }
}

struct Avx2 {
  using Args = S8Args;
  using Sum = int32_t;
  static constexpr int64_t kRows = 4, kColumns = 16;
  static int64_t cover(int64_t n) { return n > 1 ? 4 : 1; }
  static void begin(const S8Args&) {}
  static void end() {}
  static void tile(const S8Args& g, const uint8_t* a, const int8_t* b, int64_t at, int64_t rows,
                   const S8Pending& pending, int32_t* c) {
    finish(g, *pending.rows, pending.sums);
    const int32_t* start = g.finish.start + at;
    if (g.is_signed)
      rows > 1 ? s8_dots<true, 4>(g, a, b, start, c) : s8_dots<true, 1>(g, a, b, start, c);
    else
      rows > 1 ? s8_dots<false, 4>(g, a, b, start, c) : s8_dots<false, 1>(g, a, b, start, c);
  }
  static void finish(const S8Args& g, const ConvRows& rows, const S8Sums& s) {
    const S8Finish& f = g.finish;
    if (f.stays_in_bytes && s.columns == 16)
      finish_bytes(f, rows, s);
    else
      s8_finish_plain(f, rows, s);
  }
};

}  // namespace

void s8_task_avx2(const S8Args& args, const ConvRange& range) { walk_task<Avx2>(args, range); }

}  // namespace narrow::kernels
