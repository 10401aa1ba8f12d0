// Depthwise convolution over 16 channels at a time: vpmaddwd sums two kernel rows of one channel per lane.
//
// Sources are widened to 16 bits less their zero point, so padding is 0 and products are exact (255 * 128 * 2
// < 2^31). Lanes 0-3 and 4-7 of vector v are channels 4 * v.. and 8 + 4 * v..; packing the two vectors
// restores memory order.
#include "kernels/byte_function_avx2.h"
#include "kernels/conv/dw_int8.h"
#include "kernels/conv/narrow_out_avx2.h"

namespace narrow::kernels {
namespace {

struct Sums {
  __m256i v[2];
};

/// 16 source bytes as words less the zero point; `live` < 16 at the last channels.
NARROW_INLINE __m256i load_words(const DwInt8Plan& p, const uint8_t* src, int64_t live) {
  alignas(16) uint8_t tail[16] = {};
  if (live < 16)
    for (int64_t i = 0; i < live; ++i) tail[i] = src[i];
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(live < 16 ? tail : src));
  const __m256i words = p.src_type == DType::u8 ? _mm256_cvtepu8_epi16(bytes) : _mm256_cvtepi8_epi16(bytes);
  return _mm256_sub_epi16(words, _mm256_set1_epi16(static_cast<int16_t>(p.src_zero)));
}

/// One group of two source rows (null: padding) into the buffer.
NARROW_INLINE void interleave_group(const DwInt8Plan& p, const uint8_t* const rows[2], int64_t first,
                                    int64_t columns, int64_t live, __m256i* out) {
  const uint8_t *row0 = rows[0], *row1 = rows[1];
  const int64_t pixel = p.src_pixel, w = p.w, step = 2 * p.groups;
  for (int64_t x = first; x < first + columns; ++x, out += step) {
    __m256i r0 = _mm256_setzero_si256(), r1 = r0;
    if (x >= 0 && x < w) {
      if (row0 != nullptr) r0 = load_words(p, row0 + x * pixel, live);
      if (row1 != nullptr) r1 = load_words(p, row1 + x * pixel, live);
    }
    _mm256_store_si256(out, _mm256_unpacklo_epi16(r0, r1));
    _mm256_store_si256(out + 1, _mm256_unpackhi_epi16(r0, r1));
  }
}

/// `count` rows from the first one that output row y reads.
void interleave_rows(const DwInt8Plan& p, const DwInt8Task& t, int64_t y, int64_t count, int64_t columns) {
  const int64_t left = p.c - t.channel;
  const uint8_t* image = t.src + t.image * p.h * p.w * p.src_pixel + t.channel;
  for (int64_t g = 0; g < p.groups; ++g) {
    const uint8_t* rows[2] = {};
    for (int64_t k = 0; k < 2 && g * 2 + k < count; ++k) {
      const int64_t source = y * p.stride_h - p.pad_top + (g * 2 + k) * p.dilation_h;
      if (source >= 0 && source < p.h) rows[k] = image + source * p.w * p.src_pixel;
    }
    const int64_t first = t.column_begin * p.stride_w - p.pad_left;
    interleave_group(p, rows, first, columns, left < 16 ? left : 16, static_cast<__m256i*>(t.buffer) + g * 2);
  }
}

/// kw and groups are arguments so that 3x3 becomes straight-line code.
NARROW_INLINE Sums convolve(const __m256i* w, const Sums& bias, const __m256i* lanes, int64_t kw,
                            int64_t groups, int64_t step) {
  Sums s = bias;
  NARROW_UNROLL(3)
  for (int64_t j = 0; j < kw; ++j, lanes += step) NARROW_UNROLL(2)
  for (int64_t g = 0; g < groups; ++g, w += 2) {
    s.v[0] = _mm256_add_epi32(s.v[0], _mm256_madd_epi16(lanes[g * 2], w[0]));
    s.v[1] = _mm256_add_epi32(s.v[1], _mm256_madd_epi16(lanes[g * 2 + 1], w[1]));
  }
  return s;
}

/// Two vectors in the order of memory to sixteen words.
NARROW_INLINE __m256i memory_order(__m256i q0, __m256i q1) {
  return _mm256_packs_epi32(_mm256_permute2x128_si256(q0, q1, 0x20), _mm256_permute2x128_si256(q0, q1, 0x31));
}

NARROW_INLINE __m128i words_to_bytes(DType type, __m256i words) {
  const __m128i low = _mm256_castsi256_si128(words), high = _mm256_extracti128_si256(words, 1);
  return type == DType::u8 ? _mm_packus_epi16(low, high) : _mm_packs_epi16(low, high);
}

/// Positions to the bytes of a function.
NARROW_INLINE __m128i through(const FunctionTables& function, DType type, __m256i words) {
  const __m128i flip = _mm_set1_epi8(static_cast<char>(type == DType::u8 ? 0x80 : 0));
  return _mm_xor_si128(words_to_bytes(DType::s8, function_words(function, words)), flip);
}

/// Residual, any activation, any type: elements at .. at + live.
void finish_real(const DwInt8Plan& p, const DwInt8Task& t, const float* scale, const Sums& s, int64_t at,
                 int64_t live) {
  const __m256i natural[2] = {_mm256_permute2x128_si256(s.v[0], s.v[1], 0x20),
                              _mm256_permute2x128_si256(s.v[0], s.v[1], 0x31)};
  const IntegerStore integer{1.0F / p.dst_quant.scale, p.dst_quant.zero_point, p.low, p.high};
  __m256 r[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  for (int v = 0; v < 2 && v * 8 < live; ++v) {
    const int64_t lanes = live - v * 8 < 8 ? live - v * 8 : 8;
    r[v] = _mm256_mul_ps(_mm256_cvtepi32_ps(natural[v]), _mm256_loadu_ps(scale + v * 8));
    r[v] = add_residual_lanes(p.residual_type, t.residual, at + v * 8, lanes, p.residual_quant, r[v]);
    r[v] = vapply(p.activation, r[v]);
    if (p.function == nullptr) store_lanes(p.dst_type, t.dst, at + v * 8, lanes, r[v], integer);
  }
  if (p.function == nullptr) return;
  const __m256i words = memory_order(round_lanes(r[0], integer), round_lanes(r[1], integer));
  store_some(through(function_tables(*p.function), p.dst_type, words), live,
             static_cast<uint8_t*>(t.dst) + at);
}

/// What one strip's sums become, in registers.
struct Store {
  __m256 multiplier[2];
  __m256i zero_point;
  __m128i low, high;
  bool is_unsigned, has_function;
  FunctionTables function;
};

NARROW_INLINE Store load_store(const DwInt8Plan& p, int64_t channel) {
  Store store = {{_mm256_loadu_ps(p.multiplier + channel), _mm256_loadu_ps(p.multiplier + channel + 8)},
                 _mm256_set1_epi16(static_cast<int16_t>(p.dst_quant.zero_point)),
                 _mm_set1_epi8(static_cast<char>(p.low)),
                 _mm_set1_epi8(static_cast<char>(p.high)),
                 p.dst_type == DType::u8,
                 p.function != nullptr,
                 {}};
  if (p.function != nullptr) store.function = function_tables(*p.function);
  return store;
}

/// clamp(round(sum * multiplier) + zero_point), or the function of that. Saturation to 16 bits is harmless:
/// bounds are far inside, and a function's positions end there.
NARROW_INLINE void requantize(const Store& store, const Sums& s, int64_t live, uint8_t* out) {
  const __m256 limit = _mm256_set1_ps(16777216.0F);
  __m256i q[2];
  NARROW_UNROLL(2)
  for (int v = 0; v < 2; ++v)  // NaN and what is below -2^31 give -2^31
    q[v] = _mm256_cvtps_epi32(
        _mm256_min_ps(limit, _mm256_mul_ps(_mm256_cvtepi32_ps(s.v[v]), store.multiplier[v])));
  if (store.has_function) {
    const DType type = store.is_unsigned ? DType::u8 : DType::s8;
    return store_some(through(store.function, type, _mm256_packs_epi32(q[0], q[1])), live, out);
  }
  const __m256i words = _mm256_adds_epi16(_mm256_packs_epi32(q[0], q[1]), store.zero_point);
  const __m128i first = _mm256_castsi256_si128(words), second = _mm256_extracti128_si256(words, 1);
  const __m128i bytes =
      store.is_unsigned ? _mm_min_epu8(_mm_max_epu8(_mm_packus_epi16(first, second), store.low), store.high)
                        : _mm_min_epi8(_mm_max_epi8(_mm_packs_epi16(first, second), store.low), store.high);
  store_some(bytes, live, out);
}

NARROW_INLINE void output_row(const DwInt8Plan& plan, const DwInt8Task& task, int64_t at, int64_t kw,
                              int64_t groups) {
  const DwInt8Plan p = plan;  // copies, which stores to dst cannot change
  const DwInt8Task t = task;
  const __m256i* weights = static_cast<const __m256i*>(p.weights) + t.channel / 16 * kw * groups * 2;
  const __m256i* bias = reinterpret_cast<const __m256i*>(p.bias + t.channel);
  const Sums start = {{bias[0], bias[1]}};
  const Store store = load_store(p, t.channel);
  const int64_t live = p.c - t.channel, step = p.dilation_w * groups * 2;
  const __m256i* lanes = static_cast<const __m256i*>(t.buffer);
  for (int64_t x = t.column_begin; x < t.column_end;
       ++x, lanes += p.stride_w * groups * 2, at += p.dst_pixel) {
    const Sums s = convolve(weights, start, lanes, kw, groups, step);
    if (p.clamps)
      requantize(store, s, live, static_cast<uint8_t*>(t.dst) + at);
    else
      finish_real(p, t, p.scale + t.channel, s, at, live);
  }
}

/// Whether two output rows can be made of the same two groups of source rows: those one below the other of
/// 3x3 windows.
bool rows_share(const DwInt8Plan& p) {
  return p.kh == 3 && p.kw == 3 && p.stride_h == 1 && p.dilation_h == 1 && p.clamps;
}

/// Output rows y and y + 1 of four interleaved source rows: weights (w0 w1) (w2 0) and (0 w0) (w1 w2).
void output_two_rows(const DwInt8Plan& plan, const DwInt8Task& task, int64_t at) {
  const DwInt8Plan p = plan;  // copies, which stores to dst cannot change
  const DwInt8Task t = task;
  const __m256i* upper = static_cast<const __m256i*>(p.weights) + t.channel / 16 * 12;
  __m256i lower[12];
  for (int i = 0; i < 12; i += 4)
    for (int v = i; v < i + 2; ++v) {
      lower[v] = _mm256_slli_epi32(upper[v], 16);
      lower[v + 2] = _mm256_or_si256(_mm256_srli_epi32(upper[v], 16), _mm256_slli_epi32(upper[v + 2], 16));
    }
  const __m256i* bias = reinterpret_cast<const __m256i*>(p.bias + t.channel);
  const Sums start = {{bias[0], bias[1]}};
  const Store store = load_store(p, t.channel);
  const int64_t live = p.c - t.channel, step = p.dilation_w * 4, next_row = p.ow * p.dst_pixel;
  const __m256i* lanes = static_cast<const __m256i*>(t.buffer);
  uint8_t* out = static_cast<uint8_t*>(t.dst) + at;
  for (int64_t x = t.column_begin; x < t.column_end; ++x, lanes += p.stride_w * 4, out += p.dst_pixel) {
    requantize(store, convolve(upper, start, lanes, 3, 2, step), live, out);
    requantize(store, convolve(lower, start, lanes, 3, 2, step), live, out + next_row);
  }
}

}  // namespace

void dw_int8_avx2(const DwInt8Plan& p, const DwInt8Task& t) {
  const int64_t columns = (t.column_end - t.column_begin - 1) * p.stride_w + (p.kw - 1) * p.dilation_w + 1;
  const bool share = rows_share(p);
  for (int64_t y = t.row_begin; y < t.row_end; ++y) {
    const int64_t at = ((t.image * p.oh + y) * p.ow + t.column_begin) * p.dst_pixel + t.channel;
    if (share && y + 1 < t.row_end) {
      interleave_rows(p, t, y, 4, columns);
      output_two_rows(p, t, at);
      ++y;
      continue;
    }
    interleave_rows(p, t, y, p.kh, columns);
    if (p.kw == 3 && p.groups == 2)
      output_row(p, t, at, 3, 2);
    else
      output_row(p, t, at, p.kw, p.groups);
  }
}

}  // namespace narrow::kernels
