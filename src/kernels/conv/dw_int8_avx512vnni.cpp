// Depthwise convolution over 64 channels at a time: vpdpbusd sums four kernel rows of one channel per lane.
//
// vpdpbusd wants unsigned x signed: s8 sources are shifted by 128 (their zero point with them). Padding is
// the zero point, so that bias - zero_point * sum(weights) corrects every output alike. Exact: nothing
// saturates on the way. Lane 4 * l + e of vector v is channel 16 * l + 4 * v + e; packing the four result
// vectors restores memory order.
#include "kernels/conv/dw_half_lanes_avx512.h"
#include "kernels/conv/dw_int8.h"

namespace narrow::kernels {
namespace {

struct Sums {
  __m512i v[4];
};

NARROW_INLINE __mmask64 first_lanes64(int64_t n) { return n >= 64 ? ~__mmask64{0} : (__mmask64{1} << n) - 1; }

/// Four rows of bytes to 64 lanes of four bytes.
NARROW_INLINE Sums interleave(__m512i r0, __m512i r1, __m512i r2, __m512i r3) {
  const __m512i low01 = _mm512_unpacklo_epi8(r0, r1), high01 = _mm512_unpackhi_epi8(r0, r1);
  const __m512i low23 = _mm512_unpacklo_epi8(r2, r3), high23 = _mm512_unpackhi_epi8(r2, r3);
  return {{_mm512_unpacklo_epi16(low01, low23), _mm512_unpackhi_epi16(low01, low23),
           _mm512_unpacklo_epi16(high01, high23), _mm512_unpackhi_epi16(high01, high23)}};
}

/// One group of source rows (null: padding) into the buffer, columns [0, columns) of the strip starting at
/// `first`.
void interleave_group(const DwInt8Plan& p, const uint8_t* const rows[4], int64_t first, int64_t columns,
                      __mmask64 live, __m512i* out) {
  const __m512i zero = _mm512_set1_epi8(static_cast<char>(p.src_zero));
  const __m512i flip = _mm512_set1_epi8(p.src_type == DType::s8 ? static_cast<char>(0x80) : 0);
  const __m512i padding = _mm512_xor_si512(zero, flip);
  for (int64_t i = 0; i < columns; ++i, out += 4 * p.groups) {
    const int64_t x = first + i;
    Sums lanes = {{padding, padding, padding, padding}};
    if (x >= 0 && x < p.w) {
      __m512i r[4];
      for (int k = 0; k < 4; ++k)
        r[k] = rows[k] == nullptr ? padding
                                  : _mm512_xor_si512(_mm512_maskz_loadu_epi8(live, rows[k] + x * p.c), flip);
      lanes = interleave(r[0], r[1], r[2], r[3]);
    }
    for (int v = 0; v < 4; ++v) _mm512_store_si512(out + v, lanes.v[v]);
  }
}

void interleave_rows(const DwInt8Plan& p, const DwInt8Task& t, int64_t y, int64_t columns) {
  const __mmask64 live = first_lanes64(p.c - t.channel);
  const uint8_t* image = t.src + t.image * p.h * p.w * p.c + t.channel;
  for (int64_t g = 0; g < p.groups; ++g) {
    const uint8_t* rows[4] = {};
    for (int64_t k = 0; k < 4 && g * 4 + k < p.kh; ++k) {
      const int64_t source = y * p.stride_h - p.pad_top + (g * 4 + k) * p.dilation_h;
      if (source >= 0 && source < p.h) rows[k] = image + source * p.w * p.c;
    }
    const int64_t first = t.column_begin * p.stride_w - p.pad_left;
    interleave_group(p, rows, first, columns, live, static_cast<__m512i*>(t.buffer) + g * 4);
  }
}

struct Chunk {
  const __m512i *weights, *bias;
  const float *multiplier, *scale;
};

/// Sums of the output whose first column is `lanes`. kKw = 3 with one group keeps the weights in registers.
NARROW_INLINE Sums convolve(const Chunk& chunk, const __m512i* lanes, int64_t kw, int64_t groups,
                            int64_t column_step) {
  Sums s = {{chunk.bias[0], chunk.bias[1], chunk.bias[2], chunk.bias[3]}};
  const __m512i* w = chunk.weights;
  for (int64_t j = 0; j < kw; ++j, lanes += column_step)
    for (int64_t g = 0; g < groups; ++g, w += 4)
      for (int v = 0; v < 4; ++v) s.v[v] = _mm512_dpbusd_epi32(s.v[v], lanes[g * 4 + v], w[v]);
  return s;
}

/// clamp(round(sum * multiplier) + zero_point): 64 bytes in the order of memory. Saturation to 16 bits is
/// harmless: the bounds are far inside.
NARROW_INLINE __m512i requantize_lanes(const DwInt8Plan& p, const float* multiplier, const Sums& s) {
  const __m512 limit = _mm512_set1_ps(16777216.0F);
  __m512i q[4];
  for (int v = 0; v < 4; ++v) {
    const __m512 r = _mm512_mul_ps(_mm512_cvtepi32_ps(s.v[v]), _mm512_loadu_ps(multiplier + v * 16));
    q[v] = _mm512_cvtps_epi32(_mm512_min_ps(limit, r));  // NaN and what is below -2^31 give -2^31
  }
  const __m512i zero_point = _mm512_set1_epi16(static_cast<int16_t>(p.dst_quant.zero_point));
  const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), zero_point);
  const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(q[2], q[3]), zero_point);
  if (p.dst_type == DType::u8) {
    const __m512i bytes = _mm512_packus_epi16(low, high);
    return _mm512_min_epu8(_mm512_max_epu8(bytes, _mm512_set1_epi8(static_cast<char>(p.low))),
                           _mm512_set1_epi8(static_cast<char>(p.high)));
  }
  const __m512i bytes = _mm512_packs_epi16(low, high);
  return _mm512_min_epi8(_mm512_max_epi8(bytes, _mm512_set1_epi8(static_cast<char>(p.low))),
                         _mm512_set1_epi8(static_cast<char>(p.high)));
}

/// Residual, any activation, any type: 16 channels at a time in the order of memory.
void finish_real(const DwInt8Plan& p, const DwInt8Task& t, const float* scale, const Sums& s, int64_t at) {
  const __m512i even0 = _mm512_shuffle_i32x4(s.v[0], s.v[1], 0x44),
                odd0 = _mm512_shuffle_i32x4(s.v[0], s.v[1], 0xee);
  const __m512i even1 = _mm512_shuffle_i32x4(s.v[2], s.v[3], 0x44),
                odd1 = _mm512_shuffle_i32x4(s.v[2], s.v[3], 0xee);
  const __m512i natural[4] = {_mm512_shuffle_i32x4(even0, even1, 0x88),
                              _mm512_shuffle_i32x4(even0, even1, 0xdd),
                              _mm512_shuffle_i32x4(odd0, odd1, 0x88), _mm512_shuffle_i32x4(odd0, odd1, 0xdd)};
  const IntegerStore integer{1.0F / p.dst_quant.scale, p.dst_quant.zero_point, p.low, p.high};
  const int64_t live = p.c - t.channel;
  for (int64_t v = 0; v < 4 && v * 16 < live; ++v) {
    const __mmask16 mask = first_lanes16(live - v * 16);
    __m512 r = _mm512_mul_ps(_mm512_cvtepi32_ps(natural[v]), _mm512_loadu_ps(scale + v * 16));
    r = add_residual_lanes(p.residual_type, t.residual, at + v * 16, mask, p.residual_quant, r);
    store_lanes(p.dst_type, t.dst, at + v * 16, mask, vapply(p.activation, r), integer);
  }
}

/// Output row y from the buffer. kw and groups are arguments so that 3x3 becomes straight-line code.
NARROW_INLINE void output_row(const DwInt8Plan& p, const DwInt8Task& t, const Chunk& chunk, int64_t y,
                              int64_t kw, int64_t groups) {
  const __mmask64 live = first_lanes64(p.c - t.channel);
  const int64_t step = p.dilation_w * groups * 4, pixel = p.stride_w * groups * 4;
  const __m512i* lanes = static_cast<const __m512i*>(t.buffer);
  int64_t at = ((t.image * p.oh + y) * p.ow + t.column_begin) * p.c + t.channel;
  for (int64_t x = t.column_begin; x < t.column_end; ++x, lanes += pixel, at += p.c) {
    const Sums s = convolve(chunk, lanes, kw, groups, step);
    if (p.clamps)
      _mm512_mask_storeu_epi8(static_cast<uint8_t*>(t.dst) + at, live,
                              requantize_lanes(p, chunk.multiplier, s));
    else
      finish_real(p, t, chunk.scale, s, at);
  }
}

}  // namespace

void dw_int8_avx512vnni(const DwInt8Plan& p, const DwInt8Task& t) {
  const int64_t columns = (t.column_end - t.column_begin - 1) * p.stride_w + (p.kw - 1) * p.dilation_w + 1;
  const Chunk chunk{static_cast<const __m512i*>(p.weights) + t.channel / 64 * p.kw * p.groups * 4,
                    reinterpret_cast<const __m512i*>(p.bias + t.channel), p.multiplier + t.channel,
                    p.scale + t.channel};
  for (int64_t y = t.row_begin; y < t.row_end; ++y) {
    interleave_rows(p, t, y, columns);
    if (p.kw == 3 && p.groups == 1)
      output_row(p, t, chunk, y, 3, 1);
    else
      output_row(p, t, chunk, y, p.kw, p.groups);
  }
}

}  // namespace narrow::kernels
