// Elements of 1 and 2 bytes are widened to 32 bits on the way into registers and narrowed on the way out, so
// one network of 32-bit shuffles serves all.
#include "kernels/lanes/lanes_avx512.h"
#include "kernels/layout/transpose.h"

namespace narrow::kernels {
namespace {

template <int kBytes>
inline __m512i load(const uint8_t* src, int64_t at, __mmask16 live) {
  if constexpr (kBytes == 1) return _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(live, src + at));
  if constexpr (kBytes == 2) return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(live, src + 2 * at));
  if constexpr (kBytes == 4) return _mm512_maskz_loadu_epi32(live, src + 4 * at);
}

template <int kBytes>
inline void store(uint8_t* dst, int64_t at, __mmask16 live, __m512i x) {
  if constexpr (kBytes == 1) _mm_mask_storeu_epi8(dst + at, live, _mm512_cvtepi32_epi8(x));
  if constexpr (kBytes == 2) _mm256_mask_storeu_epi16(dst + 2 * at, live, _mm512_cvtepi32_epi16(x));
  if constexpr (kBytes == 4) _mm512_mask_storeu_epi32(dst + 4 * at, live, x);
}

/// r[i] lane j becomes r[j] lane i: pairs of 32, then 64 bits within 128-bit quarters, then the quarters
/// themselves.
inline void transpose16(__m512i r[16]) {
  __m512i t[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 4; ++i) {  // now quarter q of r[4 g + i] holds rows 4 g.. of column 4 q + i
    const __m512i a = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x44),
                  b = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x44);
    const __m512i c = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xee),
                  d = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xee);
    t[i] = _mm512_shuffle_i32x4(a, b, 0x88);
    t[4 + i] = _mm512_shuffle_i32x4(a, b, 0xdd);
    t[8 + i] = _mm512_shuffle_i32x4(c, d, 0x88);
    t[12 + i] = _mm512_shuffle_i32x4(c, d, 0xdd);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) r[i] = t[i];
}

template <int kBytes>
void transpose_blocks(const TransposeTile& t) {
  for (int64_t i0 = 0; i0 < t.rows; i0 += 16) {
    const __mmask16 rows = first_lanes16(t.rows - i0);
    for (int64_t j0 = 0; j0 < t.columns; j0 += 16) {
      const __mmask16 columns = first_lanes16(t.columns - j0);
      __m512i r[16];
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) {
        r[i] = _mm512_setzero_si512();
        if (i0 + i < t.rows) r[i] = load<kBytes>(t.src, (i0 + i) * t.src_pitch + j0, columns);
      }
      transpose16(r);
#pragma GCC unroll 16
      for (int j = 0; j < 16; ++j)
        if (j0 + j < t.columns) store<kBytes>(t.dst, (j0 + j) * t.dst_pitch + i0, rows, r[j]);
    }
  }
}

/// Picks each lane from any lane of four registers.
struct Pick {
  __m512i from01, from23;
  __mmask16 second;  // lanes that come from registers 2 and 3
};

/// lane l comes from lane at(l) % 16 of register at(l) / 16.
template <class F>
inline Pick make_pick(F at) {
  alignas(64) int index[16];
  unsigned second = 0;
  for (int l = 0; l < 16; ++l) {
    index[l] = at(l) % 32;
    second |= static_cast<unsigned>(at(l) / 32) << l;
  }
  const __m512i v = _mm512_load_si512(index);
  return {v, v, static_cast<__mmask16>(second)};
}

inline __m512i pick(const Pick& p, const __m512i r[4]) {
  const __m512i low = _mm512_permutex2var_epi32(r[0], p.from01, r[1]);
  return _mm512_mask_mov_epi32(low, p.second, _mm512_permutex2var_epi32(r[2], p.from23, r[3]));
}

/// kC planes to pixels of kC elements: 16 pixels at a time.
template <int kBytes, int kC>
void interleave(const TransposeTile& t) {
  Pick picks[kC];
#pragma GCC unroll 4
  for (int v = 0; v < kC; ++v)
    picks[v] = make_pick([v](int l) { return (16 * v + l) % kC * 16 + (16 * v + l) / kC; });
  for (int64_t j = 0; j < t.columns; j += 16) {
    const __mmask16 live = first_lanes16(t.columns - j);
    __m512i r[4] = {};
#pragma GCC unroll 4
    for (int c = 0; c < kC; ++c) r[c] = load<kBytes>(t.src, c * t.src_pitch + j, live);
    const int64_t left = (t.columns - j) * kC;
#pragma GCC unroll 4
    for (int v = 0; v < kC; ++v)
      if (left > 16 * v)
        store<kBytes>(t.dst, j * kC + 16 * v, first_lanes16(left - 16 * v), pick(picks[v], r));
  }
}

/// Pixels of kC elements to kC planes.
template <int kBytes, int kC>
void deinterleave(const TransposeTile& t) {
  Pick picks[kC];
#pragma GCC unroll 4
  for (int c = 0; c < kC; ++c) picks[c] = make_pick([c](int l) { return l * kC + c; });
  for (int64_t i = 0; i < t.rows; i += 16) {
    const __mmask16 live = first_lanes16(t.rows - i);
    const int64_t left = (t.rows - i) * kC;
    __m512i r[4] = {};
#pragma GCC unroll 4
    for (int v = 0; v < kC; ++v)
      if (left > 16 * v) r[v] = load<kBytes>(t.src, i * kC + 16 * v, first_lanes16(left - 16 * v));
#pragma GCC unroll 4
    for (int c = 0; c < kC; ++c) store<kBytes>(t.dst, c * t.dst_pitch + i, live, pick(picks[c], r));
  }
}

template <int kBytes>
void transpose(const TransposeTile& t) {
  if (t.dst_pitch == t.rows && t.rows == 2) return interleave<kBytes, 2>(t);
  if (t.dst_pitch == t.rows && t.rows == 3) return interleave<kBytes, 3>(t);
  if (t.dst_pitch == t.rows && t.rows == 4) return interleave<kBytes, 4>(t);
  if (t.src_pitch == t.columns && t.columns == 2) return deinterleave<kBytes, 2>(t);
  if (t.src_pitch == t.columns && t.columns == 3) return deinterleave<kBytes, 3>(t);
  if (t.src_pitch == t.columns && t.columns == 4) return deinterleave<kBytes, 4>(t);
  transpose_blocks<kBytes>(t);
}

}  // namespace

void transpose_avx512(int64_t element_bytes, const TransposeTile& tile) {
  if (element_bytes == 1) return transpose<1>(tile);
  if (element_bytes == 2) return transpose<2>(tile);
  transpose<4>(tile);
}

}  // namespace narrow::kernels
