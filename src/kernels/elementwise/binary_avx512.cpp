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

template <int kV>
inline __m128i quarter(__m512i bytes) {
  return _mm512_extracti32x4_epi32(bytes, kV);
}

/// Bytes as numbers.
struct ByteLanes {
  explicit ByteLanes(const ByteOperand& o)
      : flip(_mm512_set1_epi8(static_cast<char>(o.flip))),
        scale(_mm512_set1_ps(o.scale)),
        zero_point(_mm512_set1_epi32(o.zero_point)) {}

  __m512i load(const uint8_t* from, __mmask64 live) const {
    return _mm512_xor_si512(_mm512_maskz_loadu_epi8(live, from), flip);
  }
  /// float(q - zero_point)
  __m512 centred(__m128i bytes) const {
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_cvtepu8_epi32(bytes), zero_point));
  }
  __m512 real(__m128i bytes) const { return _mm512_mul_ps(centred(bytes), scale); }

  __m512i flip;
  __m512 scale;
  __m512i zero_point;
};

/// Results on their way to bytes. NaN and what is below -2^31 give -2^31; packing saturates far outside of
/// what bytes hold.
class ByteStore {
 public:
  explicit ByteStore(const ByteBinary& spec)
      : low_(_mm512_set1_ps(spec.low)),
        high_(_mm512_set1_ps(spec.high)),
        inverse_(_mm512_set1_ps(spec.dst.inverse)),
        zero_point_(_mm512_set1_epi16(static_cast<int16_t>(spec.dst.zero_point))),
        flip_(_mm512_set1_epi8(static_cast<char>(spec.dst.flip))) {}

  __m512i rounded(__m512 r) const {
    const __m512 bounded = _mm512_min_ps(high_, _mm512_max_ps(low_, r));
    return _mm512_cvtps_epi32(_mm512_min_ps(_mm512_set1_ps(16777216.0F), _mm512_mul_ps(bounded, inverse_)));
  }
  void store(uint8_t* to, __mmask64 live, const __m512i* q) const {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i first = _mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), zero_point_),
                  second = _mm512_adds_epi16(_mm512_packs_epi32(q[2], q[3]), zero_point_);
    const __m512i bytes = _mm512_permutexvar_epi32(order, _mm512_packus_epi16(first, second));
    _mm512_mask_storeu_epi8(to, live, _mm512_xor_si512(bytes, flip_));
  }

 private:
  __m512 low_, high_, inverse_;
  __m512i zero_point_, flip_;
};

/// 64 bytes at a time. Other reads what goes with them, and gives the results of 16: quarter kV of four.
template <class Other>
inline void each_byte(const ByteBinary& spec, const uint8_t* a, uint8_t* dst, int64_t n, const Other& other) {
  const ByteLanes la(spec.a);
  const ByteStore out(spec);
  for (int64_t i = 0; i < n; i += 64) {
    const __mmask64 live = first_lanes64(n - i);
    const __m512i bytes = la.load(a + i, live);
    const auto others = other.load(i, live);
    const __m512i q[4] = {out.rounded(other.template apply<0>(la.real(quarter<0>(bytes)), others)),
                          out.rounded(other.template apply<1>(la.real(quarter<1>(bytes)), others)),
                          out.rounded(other.template apply<2>(la.real(quarter<2>(bytes)), others)),
                          out.rounded(other.template apply<3>(la.real(quarter<3>(bytes)), others))};
    out.store(dst + i, live, q);
  }
}

/// The other operand as bytes, added or multiplied.
template <bool kAdds>
struct OtherBytes {
  const uint8_t* b;
  ByteLanes lanes;
  __m512i load(int64_t i, __mmask64 live) const { return lanes.load(b + i, live); }
  template <int kV>
  __m512 apply(__m512 x, __m512i bytes) const {
    const __m512 q = lanes.centred(quarter<kV>(bytes));
    return kAdds ? _mm512_fmadd_ps(q, lanes.scale, x) : _mm512_mul_ps(x, _mm512_mul_ps(q, lanes.scale));
  }
};

/// The other operand as a number for each byte, multiplied.
struct OtherFloats {
  struct Part {
    const float* at;
    __mmask64 live;
  };
  const float* b;
  Part load(int64_t i, __mmask64 live) const { return {b + i, live}; }
  template <int kV>
  __m512 apply(__m512 x, const Part& part) const {
    const auto live = static_cast<__mmask16>(part.live >> 16 * kV);
    return _mm512_mul_ps(x, _mm512_maskz_loadu_ps(live, part.at + 16 * kV));
  }
};

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
  const ByteLanes lanes(spec.b);
  if (spec.op == Binary::add)
    each_byte(spec, a, dst, n, OtherBytes<true>{b, lanes});
  else
    each_byte(spec, a, dst, n, OtherBytes<false>{b, lanes});
}

void scale_bytes_avx512(const ByteBinary& spec, const uint8_t* a, const float* b, uint8_t* dst, int64_t n) {
  each_byte(spec, a, dst, n, OtherFloats{b});
}

}  // namespace narrow::kernels
