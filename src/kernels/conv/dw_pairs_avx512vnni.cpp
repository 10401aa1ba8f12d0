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

/// Source and result of one step, one pixel or two.
struct Place {
  const uint8_t* row[3];  // the first tap's of each row
  int64_t step[3];        // bytes from a pixel's taps to the next's: 0 in padding
};

template <Load kLoad, bool kSigned, Leave kLeave>
class Strip {
 public:
  Strip(const DwPairsPlan& plan, const DwPairsTask& task)
      : p_(plan), t_(task), chunk_(task.channel / kDwPairsChunk), left_(plan.c - task.channel) {
    const auto* weights = reinterpret_cast<const __m512i*>(plan.weights) + chunk_ * kDwPairs * 4;
    NARROW_UNROLL(20) for (int i = 0; i < 20; ++i) w_[i] = weights[i];
    column_ = plan.dilation_w * plan.src_pixel;
  }

  void row(int64_t y) const {
    const uint8_t* image = t_.src + t_.image * p_.h * p_.w * p_.src_pixel + t_.channel;
    const int64_t pixel = p_.stride_w * p_.src_pixel;
    const uint8_t* rows[3];
    for (int64_t i = 0; i < 3; ++i) {
      const int64_t source = y * p_.stride_h - p_.pad_top + i * p_.dilation_h;
      rows[i] = source >= 0 && source < p_.h ? image + source * p_.w * p_.src_pixel : nullptr;
    }
    int64_t x = t_.column_begin;
    for (; x < t_.column_end && x * p_.stride_w < p_.pad_left; ++x) border(y, x, rows);
    Place place;
    for (int64_t i = 0; i < 3; ++i) {
      const int64_t first = (x * p_.stride_w - p_.pad_left) * p_.src_pixel;
      place.row[i] = rows[i] != nullptr ? rows[i] + first : t_.padding;
      place.step[i] = rows[i] != nullptr ? pixel : 0;
    }
    const int64_t last = p_.w - 1 - 2 * p_.dilation_w + p_.pad_left;  // x * stride of the last inside
    int64_t inside = last < 0 ? 0 : last / p_.stride_w + 1;
    if (inside > t_.column_end) inside = t_.column_end;
    if (inside < x) inside = x;
    interior(y, x, inside, place);
    for (x = inside; x < t_.column_end; ++x) border(y, x, rows);
  }

 private:
  static __m512i flip(__m512i bytes) {
    return kSigned ? _mm512_xor_si512(bytes, _mm512_set1_epi8(static_cast<char>(0x80))) : bytes;
  }
  /// A tap's bytes; of the second pixel `step` further on.
  __m512i load(const uint8_t* at, int64_t step) const {
    if constexpr (kLoad == Load::whole) return flip(_mm512_loadu_si512(at));
    if constexpr (kLoad == Load::part) return flip(_mm512_maskz_loadu_epi8(first_lanes64(left_), at));
    const __m256i one = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)),
                  two = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + step));
    return flip(_mm512_inserti64x4(_mm512_castsi256_si512(one), two, 1));
  }

  /// tap(i): its bytes.
  template <class Tap>
  NARROW_INLINE Sums convolve(const Strip& strip, const Tap& tap) {
    const auto* bias = reinterpret_cast<const __m512i*>(strip.p_.bias) + strip.chunk_ * 4;
    Sums s = {{bias[0], bias[1], bias[2], bias[3]}};
    NARROW_UNROLL(5)
    for (int pair = 0; pair < kDwPairs; ++pair) {
      const __m512i a = tap(2 * pair), b = 2 * pair + 1 < kDwPairsTaps ? tap(2 * pair + 1) : a;
      const __m512i low = _mm512_unpacklo_epi8(a, b), high = _mm512_unpackhi_epi8(a, b);
      s.v[0] = _mm512_dpbusd_epi32(s.v[0], low, strip.w_[4 * pair]);
      s.v[1] = _mm512_dpbusd_epi32(s.v[1], low, strip.w_[4 * pair + 1]);
      s.v[2] = _mm512_dpbusd_epi32(s.v[2], high, strip.w_[4 * pair + 2]);
      s.v[3] = _mm512_dpbusd_epi32(s.v[3], high, strip.w_[4 * pair + 3]);
    }
    return {{_mm512_unpacklo_epi32(s.v[0], s.v[1]), _mm512_unpackhi_epi32(s.v[0], s.v[1]),
             _mm512_unpacklo_epi32(s.v[2], s.v[3]), _mm512_unpackhi_epi32(s.v[2], s.v[3])}};
  }

  /// Sums of one pixel, or two, to element `at`.
  void leave(const Sums& s, int64_t at, int64_t pixels) const {
    const float* scale = p_.scale + chunk_ * kDwPairsChunk;
    if constexpr (kLeave == Leave::real) {
      const int64_t live = kLoad == Load::twin ? kDwPairsTwin : left_;
      finish_real(p_, t_.residual, t_.dst, scale, s, at, live);
      if (pixels > 1) finish_second(s, at + p_.dst_pixel);
      return;
    }
    __m512 multiplier[4];
    NARROW_UNROLL(4)
    for (int v = 0; v < 4; ++v)
      multiplier[v] = _mm512_load_ps(p_.multiplier + chunk_ * kDwPairsChunk + 16 * v);
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
  void finish_second(const Sums& s, int64_t at) const {
    Sums upper;
    for (int v = 0; v < 4; ++v) upper.v[v] = _mm512_shuffle_i64x2(s.v[v], s.v[v], 0xee);
    finish_real(p_, t_.residual, t_.dst, p_.scale + chunk_ * kDwPairsChunk, upper, at, kDwPairsTwin);
  }

  int64_t element(int64_t y, int64_t x) const {
    return ((t_.image * p_.oh + y) * p_.ow + x) * p_.dst_pixel + t_.channel;
  }

  /// Outputs whose taps are all inside of the image's width.
  void interior(int64_t y, int64_t x, int64_t end, Place place) const {
    constexpr int64_t kPixels = kLoad == Load::twin ? 2 : 1;
    int64_t at = element(y, x);
    for (; x + kPixels <= end; x += kPixels, at += kPixels * p_.dst_pixel) {
      leave(
          convolve(*this, [&](int i) { return load(place.row[i / 3] + i % 3 * column_, place.step[i / 3]); }),
          at, kPixels);
      NARROW_UNROLL(3) for (int i = 0; i < 3; ++i) place.row[i] += kPixels * place.step[i];
    }
    if (x < end)
      leave(convolve(*this, [&](int i) { return load(place.row[i / 3] + i % 3 * column_, 0); }), at, 1);
  }

  void border(int64_t y, int64_t x, const uint8_t* const (&rows)[3]) const {
    const uint8_t* taps[kDwPairsTaps];
    for (int64_t i = 0; i < kDwPairsTaps; ++i) {
      const int64_t column = x * p_.stride_w - p_.pad_left + i % 3 * p_.dilation_w;
      const bool there = rows[i / 3] != nullptr && column >= 0 && column < p_.w;
      taps[i] = there ? rows[i / 3] + column * p_.src_pixel : t_.padding;
    }
    leave(convolve(*this, [&](int i) { return load(taps[i], 0); }), element(y, x), 1);
  }

  const DwPairsPlan p_;  // a copy, which stores to dst cannot change
  const DwPairsTask t_;
  int64_t chunk_, left_, column_ = 0;
  __m512i w_[20];
};

template <Load kLoad, bool kSigned, Leave kLeave>
void run(const DwPairsPlan& p, const DwPairsTask& t) {
  const Strip<kLoad, kSigned, kLeave> strip(p, t);
  for (int64_t y = t.row_begin; y < t.row_end; ++y) strip.row(y);
}

template <Load kLoad, bool kSigned>
void choose(const DwPairsPlan& p, const DwPairsTask& t) {
  if (p.lean) return run<kLoad, kSigned, Leave::lean>(p, t);
  p.clamps ? run<kLoad, kSigned, Leave::clamp>(p, t) : run<kLoad, kSigned, Leave::real>(p, t);
}

template <Load kLoad>
void choose(const DwPairsPlan& p, const DwPairsTask& t) {
  p.src_type == DType::s8 ? choose<kLoad, true>(p, t) : choose<kLoad, false>(p, t);
}

}  // namespace

void dw_pairs_avx512vnni(const DwPairsPlan& p, const DwPairsTask& t) {
  const int64_t left = p.c - t.channel;
  if (left >= kDwPairsChunk) return choose<Load::whole>(p, t);
  left == kDwPairsTwin ? choose<Load::twin>(p, t) : choose<Load::part>(p, t);
}

}  // namespace narrow::kernels
