// Depthwise convolution over 64 channels at a time: vpdpbusd sums four kernel rows of one channel per lane.
//
// vpdpbusd wants unsigned x signed: s8 sources are shifted by 128 (their zero point with them). Padding is
// the zero point, so that bias - zero_point * sum(weights) corrects every output alike. Exact: nothing
// saturates on the way. Lane 4 * l + e of vector v is channel 16 * l + 4 * v + e; packing the four result
// vectors restores memory order.
#include "kernels/conv/dw_int8.h"
#include "kernels/conv/dw_int8_finish_avx512.h"

namespace narrow::kernels {
namespace {

/// One group's source rows; those outside the image have no live channels.
struct GroupRows {
  const uint8_t* at[4];
  __mmask64 live[4];
};

/// One group of source rows into the buffer: `columns` columns of the strip from source column `first`.
template <bool kSigned>
void interleave_group(const DwInt8Plan& p, const GroupRows& rows, int64_t first, int64_t columns,
                      __m512i* out) {
  const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x80));
  __m512i padding = _mm512_set1_epi8(static_cast<char>(p.src_zero));
  if (kSigned) padding = _mm512_xor_si512(padding, flip);
  for (int64_t i = 0; i < columns; ++i, out += 4 * p.groups) {
    const int64_t x = first + i;
    Sums lanes = {{padding, padding, padding, padding}};
    if (x >= 0 && x < p.w) {
      __m512i r[4];
      NARROW_UNROLL(4)
      for (int k = 0; k < 4; ++k) {
        r[k] = _mm512_mask_loadu_epi8(padding, rows.live[k], rows.at[k] + x * p.src_pixel);
        if (kSigned) r[k] = _mm512_xor_si512(r[k], _mm512_maskz_mov_epi8(rows.live[k], flip));
      }
      lanes = interleave(r[0], r[1], r[2], r[3]);
    }
    NARROW_UNROLL(4)
    for (int v = 0; v < 4; ++v) _mm512_store_si512(out + v, lanes.v[v]);
  }
}

void interleave_rows(const DwInt8Plan& p, const DwInt8Task& t, int64_t y, int64_t columns) {
  const __mmask64 live = first_lanes64(p.c - t.channel);
  const uint8_t* image = t.src + t.image * p.h * p.w * p.src_pixel + t.channel;
  for (int64_t g = 0; g < p.groups; ++g) {
    GroupRows rows = {{image, image, image, image}, {0, 0, 0, 0}};
    for (int64_t k = 0; k < 4 && g * 4 + k < p.kh; ++k) {
      const int64_t source = y * p.stride_h - p.pad_top + (g * 4 + k) * p.dilation_h;
      if (source < 0 || source >= p.h) continue;
      rows.at[k] = image + source * p.w * p.src_pixel;
      rows.live[k] = live;
    }
    const int64_t first = t.column_begin * p.stride_w - p.pad_left;
    __m512i* out = static_cast<__m512i*>(t.buffer) + g * 4;
    if (p.src_type == DType::s8)
      interleave_group<true>(p, rows, first, columns, out);
    else
      interleave_group<false>(p, rows, first, columns, out);
  }
}

/// One chunk's constants. The arrays live in registers in straight-line code.
struct Chunk {
  const __m512i* weights;
  const float* scale;
  __m512i bias[4];
  __m512 multiplier[4];
};

NARROW_INLINE Chunk load_chunk(const DwInt8Plan& p, int64_t channel) {
  Chunk c;
  c.weights = static_cast<const __m512i*>(p.weights) + channel / 64 * p.kw * p.groups * 4;
  c.scale = p.scale + channel;
  NARROW_UNROLL(4)
  for (int v = 0; v < 4; ++v) {
    c.bias[v] = _mm512_loadu_si512(p.bias + channel + v * 16);
    c.multiplier[v] = _mm512_loadu_ps(p.multiplier + channel + v * 16);
  }
  return c;
}

/// Sums of the output whose first column is `lanes`.
NARROW_INLINE Sums convolve(const Chunk& c, const __m512i* lanes, int64_t kw, int64_t groups,
                            int64_t column_step) {
  Sums s = {{c.bias[0], c.bias[1], c.bias[2], c.bias[3]}};
  const __m512i* w = c.weights;
  for (int64_t j = 0; j < kw; ++j, lanes += column_step)
    for (int64_t g = 0; g < groups; ++g, w += 4) NARROW_UNROLL(4)
  for (int v = 0; v < 4; ++v) s.v[v] = _mm512_dpbusd_epi32(s.v[v], lanes[g * 4 + v], w[v]);
  return s;
}

NARROW_INLINE void finish(const DwInt8Plan& p, const DwInt8Task& t, const Chunk& c, __mmask64 live,
                          int64_t at, const Sums& s) {
  if (p.clamps)
    _mm512_mask_storeu_epi8(static_cast<uint8_t*>(t.dst) + at, live, requantize_lanes(p, c.multiplier, s));
  else
    finish_real(p, t.residual, t.dst, c.scale, s, at, p.c - t.channel);
}

void output_row(const DwInt8Plan& p, const DwInt8Task& t, int64_t at) {
  const Chunk c = load_chunk(p, t.channel);
  const __mmask64 live = first_lanes64(p.c - t.channel);
  const int64_t step = p.dilation_w * p.groups * 4, pixel = p.stride_w * p.groups * 4;
  const __m512i* lanes = static_cast<const __m512i*>(t.buffer);
  for (int64_t x = t.column_begin; x < t.column_end; ++x, lanes += pixel, at += p.dst_pixel)
    finish(p, t, c, live, at, convolve(c, lanes, p.kw, p.groups, step));
}

/// kw = 3 and one group: twelve weight vectors stay in registers.
void output_row_3(const DwInt8Plan& plan, const DwInt8Task& t, int64_t at) {
  const DwInt8Plan p = plan;  // a copy, which stores to dst cannot change
  const Chunk c = load_chunk(p, t.channel);
  __m512i w[12];
  NARROW_UNROLL(12)
  for (int i = 0; i < 12; ++i) w[i] = c.weights[i];
  const __mmask64 live = first_lanes64(p.c - t.channel);
  const int64_t step = p.dilation_w * 4, pixel = p.stride_w * 4;
  const __m512i* lanes = static_cast<const __m512i*>(t.buffer);
  for (int64_t x = t.column_begin; x < t.column_end; ++x, lanes += pixel, at += p.dst_pixel) {
    Sums s = {{c.bias[0], c.bias[1], c.bias[2], c.bias[3]}};
    NARROW_UNROLL(12)
    for (int i = 0; i < 12; ++i)
      s.v[i % 4] = _mm512_dpbusd_epi32(s.v[i % 4], lanes[i / 4 * step + i % 4], w[i]);
    finish(p, t, c, live, at, s);
  }
}

}  // namespace

void dw_int8_avx512vnni(const DwInt8Plan& p, const DwInt8Task& t) {
  const int64_t columns = (t.column_end - t.column_begin - 1) * p.stride_w + (p.kw - 1) * p.dilation_w + 1;
  for (int64_t y = t.row_begin; y < t.row_end; ++y) {
    interleave_rows(p, t, y, columns);
    const int64_t at = ((t.image * p.oh + y) * p.ow + t.column_begin) * p.dst_pixel + t.channel;
    if (p.kw == 3 && p.groups == 1)
      output_row_3(p, t, at);
    else
      output_row(p, t, at);
  }
}

}  // namespace narrow::kernels
