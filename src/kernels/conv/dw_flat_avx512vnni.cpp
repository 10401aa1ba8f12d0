// dw_flat.h: vpdpbusd sums four kernel rows of 16 positions at a time.
//
// vpdpbusd wants unsigned x signed: s8 sources are shifted by 128 (their zero point with them). Padding is
// the zero point, so that bias - zero_point * sum(weights) corrects every output alike. Exact: nothing
// saturates on the way.
#include "kernels/conv/dw_flat.h"
#include "kernels/conv/dw_int8_finish_avx512.h"

namespace narrow::kernels {
namespace {

/// Four source rows from their first pixel; null outside the image.
struct SourceRows {
  const uint8_t* at[4];
};

SourceRows rows_of(const DwFlatPlan& p, const DwFlatTask& t, int64_t y) {
  const uint8_t* image = t.src + t.image * p.h * p.w * p.c;
  SourceRows rows = {{nullptr, nullptr, nullptr, nullptr}};
  const uint8_t* some = nullptr;
  for (int64_t k = 0; k < 4; ++k) {
    const int64_t row = y * p.stride_h - p.pad_top + k * p.dilation_h;
    if (row >= 0 && row < p.h) rows.at[k] = image + row * p.w * p.c;
    if (rows.at[k] != nullptr) some = rows.at[k];
  }
  for (int64_t k = 0; k < 4; ++k)
    if (k >= p.kh + p.rows - 1) rows.at[k] = some;  // weights are 0: anything will do
  return rows;
}

/// Interleaves positions of four rows into planes.
template <bool kSigned>
class Filler {
 public:
  Filler(const DwFlatPlan& p, const SourceRows& rows, uint8_t* planes) : rows_(rows), planes_(planes) {
    padding_ = _mm512_set1_epi8(static_cast<char>(p.src_zero));
    if (kSigned) padding_ = _mm512_xor_si512(padding_, _mm512_set1_epi8(static_cast<char>(0x80)));
  }

  /// 64 positions from byte `from` of the rows on, those not `live` padding; to position `to`.
  void tile(int64_t from, __mmask64 live, int64_t to) const {
    store(interleave(row(0, from, live), row(1, from, live), row(2, from, live), row(3, from, live)),
          planes_at(to), 0);
  }
  /// `count` tiles, all live, of four rows inside of the image.
  void tiles(int64_t from, int64_t count, int64_t to) const {
    const uint8_t *r0 = rows_.at[0] + from, *r1 = rows_.at[1] + from, *r2 = rows_.at[2] + from,
                  *r3 = rows_.at[3] + from;
    const Planes planes = planes_at(to);
    for (int64_t i = 0; i < count * 64; i += 64)
      store(interleave(whole(r0 + i), whole(r1 + i), whole(r2 + i), whole(r3 + i)), planes, i);
  }
  bool is_whole() const {
    return rows_.at[0] != nullptr && rows_.at[1] != nullptr && rows_.at[2] != nullptr &&
           rows_.at[3] != nullptr;
  }

 private:
  static __m512i flip(__m512i bytes) {
    return kSigned ? _mm512_xor_si512(bytes, _mm512_set1_epi8(static_cast<char>(0x80))) : bytes;
  }
  static __m512i whole(const uint8_t* at) { return flip(_mm512_loadu_si512(at)); }
  __m512i row(int k, int64_t from, __mmask64 live) const {
    if (rows_.at[k] == nullptr) return padding_;
    return _mm512_mask_mov_epi8(padding_, live, flip(_mm512_maskz_loadu_epi8(live, rows_.at[k] + from)));
  }
  struct Planes {
    uint8_t* at[4];  // per vector of lanes
  };
  /// Where lanes of a tile go that begins at position `to`, a multiple of four.
  Planes planes_at(int64_t to) const {
    uint8_t* cell = planes_ + to / 16 * 16;
    const int64_t turn = to / 4 % 4;
    Planes planes;
    NARROW_UNROLL(4)
    for (int v = 0; v < 4; ++v) planes.at[v] = cell + (v + turn) % 4 * kDwFlatPlane + (v + turn) / 4 * 16;
    return planes;
  }
  static void store(const Sums& lanes, const Planes& planes, int64_t i) {
    NARROW_UNROLL(4)
    for (int v = 0; v < 4; ++v) _mm512_storeu_si512(planes.at[v] + i, lanes.v[v]);
  }

  SourceRows rows_;
  uint8_t* planes_;
  __m512i padding_;
};

/// The bits of positions from .. from + 63 that lie in [0, end).
__mmask64 inside(int64_t from, int64_t end) {
  const int64_t low = from < 0 ? -from : 0, high = end - from;
  if (high <= low || low >= 64) return 0;
  return first_lanes64(high) & ~first_lanes64(low);
}

/// The row as it lies.
template <bool kSigned>
void fill_line(const DwFlatPlan& p, const Filler<kSigned>& filler, int64_t first, int64_t columns) {
  const int64_t from = first * p.c, end = p.w * p.c, positions = columns * p.c;
  int64_t at = 0;
  for (; at < positions && (from + at < 0 || !filler.is_whole()); at += 64)
    filler.tile(from + at, inside(from + at, end), at);
  if (at < positions) {
    const int64_t count = (from + positions < end ? positions - at : end - from - at) / 64;
    if (count > 0) {
      filler.tiles(from + at, count, at);
      at += count * 64;
    }
  }
  for (; at < positions; at += 64) filler.tile(from + at, inside(from + at, end), at);
}

template <bool kSigned>
void fill(const DwFlatPlan& p, const DwFlatTask& t, int64_t y) {
  const int64_t first = t.column_begin - p.pad_left,
                columns = t.column_end - t.column_begin + (kDwFlatTaps - 1) * p.dilation_w;
  fill_line(p, Filler<kSigned>(p, rows_of(p, t, y), t.planes), first, columns);
}

/// Where the lanes of the first tile begin, for every tap.
struct Taps {
  const uint8_t* at[kDwFlatTaps][4];  // per plane
  bool turned = false;                // some tap's planes are not the buffer's in their order
};

Taps taps_of(const DwFlatPlan& p, const uint8_t* planes) {
  Taps taps;
  for (int64_t j = 0; j < kDwFlatTaps; ++j) {
    const int64_t shift = j * p.dilation_w * p.c, turn = shift / 4 % 4;
    for (int64_t v = 0; v < 4; ++v)
      taps.at[j][v] = planes + (v + turn) % 4 * kDwFlatPlane + (shift / 16 + (v + turn) / 4) * 16;
    taps.turned |= turn != 0;
  }
  return taps;
}

/// The constants of tiles whose channels are the same.
struct Pattern {
  const __m512i* weights;
  const float* scale;
  __m512i bias[4];
  __m512 multiplier[4];
};

NARROW_INLINE Pattern load_pattern(const DwFlatPlan& p, int64_t pattern, int64_t row) {
  Pattern c;
  c.weights = reinterpret_cast<const __m512i*>(p.weights) + (pattern * p.rows + row) * kDwFlatTaps * 4;
  c.scale = p.scale + pattern * 64;
  NARROW_UNROLL(4)
  for (int v = 0; v < 4; ++v) {
    c.bias[v] = _mm512_load_si512(p.bias + pattern * 64 + v * 16);
    c.multiplier[v] = _mm512_load_ps(p.multiplier + pattern * 64 + v * 16);
  }
  return c;
}

/// Elements at .. of dst, `left` of them in the row.
template <bool kLean>
NARROW_INLINE void finish(const DwFlatPlan& p, const DwFlatTask& t, const Pattern& c, int64_t at,
                          int64_t left, const Sums& s) {
  if (!kLean && !p.clamps) {
    finish_real(p, t.residual, t.dst, c.scale, s, at, left);
    return;
  }
  const __m512i bytes = kLean ? lean_lanes(c.multiplier, s) : requantize_lanes(p, c.multiplier, s);
  _mm512_mask_storeu_epi8(static_cast<uint8_t*>(t.dst) + at, first_lanes64(left), bytes);
}

/// Output row y, `row` of those interleaved together, pattern by pattern: weights stay in registers.
/// kTurned: taps.turned.
template <bool kLean, bool kTurned>
void convolve(const DwFlatPlan& plan, const DwFlatTask& t, const Taps& taps, int64_t y, int64_t row) {
  const DwFlatPlan p = plan;  // a copy, which stores to dst cannot change
  const int64_t positions = (t.column_end - t.column_begin) * p.c,
                start = ((t.image * p.oh + y) * p.ow + t.column_begin) * p.c;
  const uint8_t* const lanes[3] = {taps.at[0][0], taps.at[1][0], taps.at[2][0]};
  for (int64_t pattern = 0; pattern < p.patterns; ++pattern) {
    const Pattern c = load_pattern(p, pattern, row);
    __m512i w[12];
    NARROW_UNROLL(12)
    for (int i = 0; i < 12; ++i) w[i] = c.weights[i];
    for (int64_t at = pattern * 64; at < positions; at += p.patterns * 64) {
      Sums s = {{c.bias[0], c.bias[1], c.bias[2], c.bias[3]}};
      NARROW_UNROLL(12)
      for (int i = 0; i < 12; ++i) {
        const uint8_t* from = kTurned ? taps.at[i / 4][i % 4] : lanes[i / 4] + i % 4 * kDwFlatPlane;
        s.v[i % 4] = _mm512_dpbusd_epi32(s.v[i % 4], _mm512_loadu_si512(from + at), w[i]);
      }
      finish<kLean>(p, t, c, start + at, positions - at, s);
    }
  }
}

using Convolve = void (*)(const DwFlatPlan&, const DwFlatTask&, const Taps&, int64_t, int64_t);

template <bool kLean>
Convolve choose(const Taps& taps) {
  return taps.turned ? convolve<kLean, true> : convolve<kLean, false>;
}

}  // namespace

void dw_flat_avx512vnni(const DwFlatPlan& p, const DwFlatTask& t) {
  const Taps taps = taps_of(p, t.planes);
  const Convolve run = p.lean ? choose<true>(taps) : choose<false>(taps);
  for (int64_t y = t.row_begin; y < t.row_end; y += p.rows) {
    if (p.src_type == DType::s8)
      fill<true>(p, t, y);
    else
      fill<false>(p, t, y);
    for (int64_t row = 0; row < p.rows && y + row < t.row_end; ++row) run(p, t, taps, y + row, row);
  }
}

}  // namespace narrow::kernels
