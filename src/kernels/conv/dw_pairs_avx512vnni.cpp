// dw_pairs.h with vpdpbusd, which wants unsigned x signed: s8 sources are shifted by 128 (their zero point
// with them). Padding is the zero point, so that bias - zero_point * sum(weights) corrects every output
// alike. Exact: nothing saturates on the way.
#include "kernels/conv/dw_int8_finish_avx512.h"
#include "kernels/conv/dw_pairs.h"

namespace narrow::kernels {
namespace {

/// What is in a vector of bytes: 64 channels, fewer, or 32 of each of two pixels.
enum class Load : uint8_t { whole, part, twin };
enum class Leave : uint8_t { lean, clamp, real };

/// The rows of a window, padding outside the image.
struct Rows {
  const uint8_t* at[3];
  bool inside[3];
};

template <Load kLoad, bool kSigned, Leave kLeave>
class Strip {
 public:
  Strip(const DwPairsPlan& plan, const DwInt8Task& task)
      : p_(plan),
        t_(task),
        chunk_(task.channel / kDwPairsChunk),
        left_(plan.c - task.channel),
        pixel_(plan.stride_w * plan.src_pixel) {}

  /// Output row y. Those whose windows leave the image's width are computed one by one.
  void row(int64_t y) const {
    const Rows rows = rows_of(y);
    int64_t x = t_.column_begin;
    for (; x < t_.column_end && x * p_.stride_w < p_.pad_left; ++x) border(y, x, rows);
    const int64_t last = p_.w - 1 - 2 * p_.dilation_w + p_.pad_left;  // x * stride of the last inside
    int64_t end = last < 0 ? 0 : last / p_.stride_w + 1;
    if (end > t_.column_end) end = t_.column_end;
    if (end < x) end = x;
    inside(y, x, end, rows);
    for (x = end; x < t_.column_end; ++x) border(y, x, rows);
  }

 private:
  static constexpr int64_t kPixels = kLoad == Load::twin ? 2 : 1;  // of a vector

  Rows rows_of(int64_t y) const {
    Rows rows;
    const uint8_t* image = t_.src + t_.image * p_.h * p_.w * p_.src_pixel + t_.channel;
    for (int64_t i = 0; i < 3; ++i) {
      const int64_t source = y * p_.stride_h - p_.pad_top + i * p_.dilation_h;
      rows.inside[i] = source >= 0 && source < p_.h;
      rows.at[i] = rows.inside[i] ? image + source * p_.w * p_.src_pixel : p_.padding;
    }
    return rows;
  }

  static __m512i flip(__m512i bytes) {
    return kSigned ? _mm512_xor_si512(bytes, _mm512_set1_epi8(static_cast<char>(0x80))) : bytes;
  }
  /// A tap's bytes; those of the second pixel lie `second` further on.
  __m512i load(const uint8_t* at, int64_t second) const {
    if constexpr (kLoad == Load::whole) return flip(_mm512_loadu_si512(at));
    if constexpr (kLoad == Load::part) return flip(_mm512_maskz_loadu_epi8(first_lanes64(left_), at));
    const __m256i one = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)),
                  two = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + second));
    return flip(_mm512_inserti64x4(_mm512_castsi256_si512(one), two, 1));
  }

  const __m512i* weights() const {
    return reinterpret_cast<const __m512i*>(p_.weights) + chunk_ * kDwPairs * 4;
  }
  /// Of the bytes of nine taps.
  Sums convolve(const __m512i* w, const __m512i* taps) const {
    const auto* bias = reinterpret_cast<const __m512i*>(p_.bias) + chunk_ * 4;
    Sums s = {{bias[0], bias[1], bias[2], bias[3]}};
    NARROW_UNROLL(5) for (int pair = 0; pair < kDwPairs; ++pair, w += 4) {
      const __m512i a = taps[2 * pair], b = pair < 4 ? taps[2 * pair + 1] : a;
      const __m512i low = _mm512_unpacklo_epi8(a, b), high = _mm512_unpackhi_epi8(a, b);
      s.v[0] = _mm512_dpbusd_epi32(s.v[0], low, w[0]);
      s.v[1] = _mm512_dpbusd_epi32(s.v[1], low, w[1]);
      s.v[2] = _mm512_dpbusd_epi32(s.v[2], high, w[2]);
      s.v[3] = _mm512_dpbusd_epi32(s.v[3], high, w[3]);
    }
    return s;
  }

  /// Sums of one pixel, or two, to element `at`.
  void leave(const Sums& sums, int64_t at, int64_t pixels) const {
    const __m512i* v = sums.v;
    const Sums s = {{_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]),
                     _mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3])}};
    if constexpr (kLeave == Leave::real) {
      const float* scale = p_.scale + chunk_ * kDwPairsChunk;
      finish_real(p_, t_.residual, t_.dst, scale, s, at, kLoad == Load::twin ? kDwPairsTwin : left_);
      if (pixels < 2) return;
      Sums second;
      for (int i = 0; i < 4; ++i) second.v[i] = _mm512_shuffle_i64x2(s.v[i], s.v[i], 0xee);
      finish_real(p_, t_.residual, t_.dst, scale, second, at + p_.dst_pixel, kDwPairsTwin);
      return;
    }
    __m512 multiplier[4];
    NARROW_UNROLL(4)
    for (int i = 0; i < 4; ++i)
      multiplier[i] = _mm512_load_ps(p_.multiplier + chunk_ * kDwPairsChunk + 16 * i);
    const __m512i bytes =
        kLeave == Leave::lean ? lean_lanes(multiplier, s) : requantize_lanes(p_, multiplier, s);
    uint8_t* to = static_cast<uint8_t*>(t_.dst) + at;
    if constexpr (kLoad == Load::whole) _mm512_storeu_si512(to, bytes);
    if constexpr (kLoad == Load::part) _mm512_mask_storeu_epi8(to, first_lanes64(left_), bytes);
    if constexpr (kLoad == Load::twin) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_castsi512_si256(bytes));
      if (pixels > 1)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + p_.dst_pixel),
                            _mm512_extracti64x4_epi64(bytes, 1));
    }
  }

  int64_t element(int64_t y, int64_t x) const {
    return ((t_.image * p_.oh + y) * p_.ow + x) * p_.dst_pixel + t_.channel;
  }

  /// Byte of a row where the window of column x begins.
  int64_t first_byte(int64_t x) const { return (x * p_.stride_w - p_.pad_left) * p_.src_pixel; }

  /// Outputs [x, end), whose windows lie in the image's width.
  void inside(int64_t y, int64_t x, int64_t end, const Rows& rows) const {
    const int64_t column = p_.dilation_w * p_.src_pixel;
    const uint8_t *r0 = rows.at[0], *r1 = rows.at[1], *r2 = rows.at[2];
    __m512i w[20];
    NARROW_UNROLL(20) for (int i = 0; i < 20; ++i) w[i] = weights()[i];
    int64_t from = (x * p_.stride_w - p_.pad_left) * p_.src_pixel, at = element(y, x);
    for (; x < end; x += kPixels, from += kPixels * pixel_, at += kPixels * p_.dst_pixel) {
      const int64_t pixels = x + kPixels <= end ? kPixels : 1, second = pixels > 1 ? pixel_ : 0;
      __m512i taps[9];
      NARROW_UNROLL(3) for (int j = 0; j < 3; ++j) {
        taps[j] = load(r0 + from + j * column, second);
        taps[3 + j] = load(r1 + from + j * column, second);
        taps[6 + j] = load(r2 + from + j * column, second);
      }
      leave(convolve(w, taps), at, pixels);
    }
  }

  void border(int64_t y, int64_t x, const Rows& rows) const {
    __m512i taps[9];
    for (int64_t i = 0; i < 3; ++i)
      for (int64_t j = 0; j < 3; ++j) {
        const int64_t column = x * p_.stride_w - p_.pad_left + j * p_.dilation_w;
        const bool is_inside = rows.inside[i] && column >= 0 && column < p_.w;
        taps[3 * i + j] = load(is_inside ? rows.at[i] + column * p_.src_pixel : p_.padding, 0);
      }
    leave(convolve(weights(), taps), element(y, x), 1);
  }

  const DwPairsPlan p_;  // a copy, which stores to dst cannot change
  const DwInt8Task t_;
  int64_t chunk_, left_, pixel_;  // pixel_: bytes from an output's taps to the next one's
};

template <Load kLoad, bool kSigned, Leave kLeave>
void run(const DwPairsPlan& p, const DwInt8Task& t) {
  const Strip<kLoad, kSigned, kLeave> strip(p, t);
  for (int64_t y = t.row_begin; y < t.row_end; ++y) strip.row(y);
}

template <Load kLoad, bool kSigned>
void choose(const DwPairsPlan& p, const DwInt8Task& t) {
  if (p.lean) return run<kLoad, kSigned, Leave::lean>(p, t);
  p.clamps ? run<kLoad, kSigned, Leave::clamp>(p, t) : run<kLoad, kSigned, Leave::real>(p, t);
}

template <Load kLoad>
void choose(const DwPairsPlan& p, const DwInt8Task& t) {
  p.src_type == DType::s8 ? choose<kLoad, true>(p, t) : choose<kLoad, false>(p, t);
}

}  // namespace

void dw_pairs_avx512vnni(const DwPairsPlan& p, const DwInt8Task& t) {
  const int64_t left = p.c - t.channel;
  if (left >= kDwPairsChunk) return choose<Load::whole>(p, t);
  left == kDwPairsTwin ? choose<Load::twin>(p, t) : choose<Load::part>(p, t);
}

}  // namespace narrow::kernels
