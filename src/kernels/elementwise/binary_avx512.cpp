#include "kernels/elementwise/runs.h"
#include "kernels/lanes/lanes_avx512.h"

namespace narrow::kernels {
namespace {

template <class F>
inline bool each(const float* a, const float* b, float* y, int64_t n, F f) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) _mm512_storeu_ps(y + i, f(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i)));
  if (i < n) {
    const __mmask16 live = first_lanes16(n - i);
    const __m512 x = _mm512_maskz_loadu_ps(live, a + i), z = _mm512_maskz_loadu_ps(live, b + i);
    _mm512_mask_storeu_ps(y + i, live, f(x, z));
  }
  return true;
}

struct ByteLanes {
  __m128i flip;
  __m512 scale, inverse;
  __m512i zero_point;
};

inline ByteLanes byte_lanes(const ByteOperand& o) {
  return {_mm_set1_epi8(static_cast<char>(o.flip)), _mm512_set1_ps(o.scale), _mm512_set1_ps(o.inverse),
          _mm512_set1_epi32(o.zero_point)};
}

/// float(q - zero_point)
inline __m512 centred(__m128i bytes, const ByteLanes& o) {
  return _mm512_cvtepi32_ps(
      _mm512_sub_epi32(_mm512_cvtepu8_epi32(_mm_xor_si128(bytes, o.flip)), o.zero_point));
}

template <class F>
inline void each_byte(const ByteBinary& spec, const uint8_t* a, const uint8_t* b, uint8_t* dst, int64_t n,
                      F f) {
  const ByteLanes la = byte_lanes(spec.a), lb = byte_lanes(spec.b), ld = byte_lanes(spec.dst);
  const __m512 low = _mm512_set1_ps(spec.low), high = _mm512_set1_ps(spec.high);
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = first_lanes16(n - i);
    const __m512 x = _mm512_mul_ps(centred(_mm_maskz_loadu_epi8(live, a + i), la), la.scale);
    const __m512 r = f(x, centred(_mm_maskz_loadu_epi8(live, b + i), lb), lb.scale);
    const __m512 bounded = _mm512_min_ps(high, _mm512_max_ps(low, r));
    const __m512i q = round_lanes(_mm512_mul_ps(bounded, ld.inverse), ld.zero_point);
    const __m128i bytes = _mm512_cvtusepi32_epi8(_mm512_max_epi32(q, _mm512_setzero_si512()));
    _mm_mask_storeu_epi8(dst + i, live, _mm_xor_si128(bytes, ld.flip));
  }
}

}  // namespace

bool binary_run_avx512(Binary op, const float* a, const float* b, const float* b_scale, float* y, int64_t n) {
  if (b_scale != nullptr) {
    const __m512 scale = _mm512_set1_ps(*b_scale);
    if (op == Binary::add)
      return each(a, b, y, n, [=](__m512 x, __m512 q) { return _mm512_fmadd_ps(q, scale, x); });
    return each(a, b, y, n, [=](__m512 x, __m512 q) { return _mm512_fnmadd_ps(q, scale, x); });
  }
  switch (op) {
    case Binary::add:
      return each(a, b, y, n, [](__m512 x, __m512 z) { return _mm512_add_ps(x, z); });
    case Binary::sub:
      return each(a, b, y, n, [](__m512 x, __m512 z) { return _mm512_sub_ps(x, z); });
    case Binary::mul:
      return each(a, b, y, n, [](__m512 x, __m512 z) { return _mm512_mul_ps(x, z); });
    case Binary::div:
      return each(a, b, y, n, [](__m512 x, __m512 z) { return _mm512_div_ps(x, z); });
    case Binary::min:
      return each(a, b, y, n, [](__m512 x, __m512 z) { return _mm512_min_ps(x, z); });
    case Binary::max:
      return each(a, b, y, n, [](__m512 x, __m512 z) { return _mm512_max_ps(x, z); });
    case Binary::prelu:
      return each(a, b, y, n,
                  [](__m512 x, __m512 z) { return Simd512::where_positive(x, x, _mm512_mul_ps(x, z)); });
    case Binary::pow:
      return false;
  }
  return false;
}

void binary_bytes_avx512(const ByteBinary& spec, const uint8_t* a, const uint8_t* b, uint8_t* dst,
                         int64_t n) {
  if (spec.op == Binary::add)
    each_byte(spec, a, b, dst, n,
              [](__m512 x, __m512 q, __m512 scale) { return _mm512_fmadd_ps(q, scale, x); });
  else
    each_byte(spec, a, b, dst, n,
              [](__m512 x, __m512 q, __m512 scale) { return _mm512_mul_ps(x, _mm512_mul_ps(q, scale)); });
}

void scale_bytes_avx512(const ByteBinary& spec, const uint8_t* a, const float* b, uint8_t* dst, int64_t n) {
  const ByteLanes la = byte_lanes(spec.a), ld = byte_lanes(spec.dst);
  const __m512 low = _mm512_set1_ps(spec.low), high = _mm512_set1_ps(spec.high),
               limit = _mm512_set1_ps(16777216.0F);
  const __m512i zero_point = _mm512_set1_epi16(static_cast<int16_t>(spec.dst.zero_point)),
                flip = _mm512_set1_epi8(static_cast<char>(spec.dst.flip));
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const auto rounded = [&](__m128i bytes, __m512 factor) {
    const __m512 r = _mm512_mul_ps(_mm512_mul_ps(centred(bytes, la), la.scale), factor);
    const __m512 bounded = _mm512_min_ps(high, _mm512_max_ps(low, r));
    // NaN and what is below -2^31 give -2^31; packing saturates far outside of what bytes hold.
    return _mm512_cvtps_epi32(_mm512_min_ps(limit, _mm512_mul_ps(bounded, ld.inverse)));
  };
  for (int64_t i = 0; i < n; i += 64) {
    const __mmask64 live = first_lanes64(n - i);
    const __m512i bytes = _mm512_maskz_loadu_epi8(live, a + i);
    const auto factors = [&](int v) {
      return _mm512_maskz_loadu_ps(static_cast<__mmask16>(live >> 16 * v), b + i + int64_t{16} * v);
    };
    const __m512i low_words = _mm512_packs_epi32(rounded(_mm512_castsi512_si128(bytes), factors(0)),
                                                 rounded(_mm512_extracti32x4_epi32(bytes, 1), factors(1)));
    const __m512i high_words = _mm512_packs_epi32(rounded(_mm512_extracti32x4_epi32(bytes, 2), factors(2)),
                                                  rounded(_mm512_extracti32x4_epi32(bytes, 3), factors(3)));
    const __m512i packed = _mm512_packus_epi16(_mm512_adds_epi16(low_words, zero_point),
                                               _mm512_adds_epi16(high_words, zero_point));
    _mm512_mask_storeu_epi8(dst + i, live, _mm512_xor_si512(_mm512_permutexvar_epi32(order, packed), flip));
  }
}

}  // namespace narrow::kernels
