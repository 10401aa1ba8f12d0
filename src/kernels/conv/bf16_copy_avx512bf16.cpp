// Source rows into the zero-padded bf16 copy that products read.
#include "kernels/math/simd_avx512.h"

#include "kernels/conv/bf16_task.h"

namespace narrow::kernels {
namespace {

__mmask32 first_lanes(int64_t n) { return n >= 32 ? 0xffffffffU : n <= 0 ? 0U : (1U << n) - 1U; }

/// In both planes of f16.
void zero(const Bf16Row& row, uint16_t* dst, int64_t n) {
  for (int64_t i = 0; i < n; i += 32) {
    _mm512_mask_storeu_epi16(dst + i, first_lanes(n - i), _mm512_setzero_si512());
    if (row.type == DType::f16)
      _mm512_mask_storeu_epi16(dst + row.plane + i, first_lanes(n - i), _mm512_setzero_si512());
  }
}

/// The two parts of 16 f16 numbers. An infinity has no rest.
struct Parts {
  __m256i high, low;
};

Parts split(__m256i half) {
  constexpr int kInfinities = 0x18;
  const __m512 x = _mm512_cvtph_ps(half);
  const __m256i high = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x));
  const __mmask16 finite = _knot_mask16(_mm512_fpclass_ps_mask(x, kInfinities));
  const __m512 rest = _mm512_maskz_sub_ps(finite, x, Simd512::from_bf16(high));
  return {high, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(rest))};
}

/// n f16 elements of src at `offset`, as both parts, zeros up to `stored`.
void copy_split(const Bf16Row& row, int64_t offset, int64_t n, int64_t stored, uint16_t* dst) {
  const uint16_t* src = static_cast<const uint16_t*>(row.src) + offset;
  for (int64_t i = 0; i < stored; i += 16) {
    const auto live = static_cast<__mmask16>(first_lanes(n - i)),
               kept = static_cast<__mmask16>(first_lanes(stored - i));
    const Parts parts = split(_mm256_maskz_loadu_epi16(live, src + i));
    _mm256_mask_storeu_epi16(dst + i, kept, parts.high);
    _mm256_mask_storeu_epi16(dst + row.plane + i, kept, parts.low);
  }
}

/// n elements of src at `offset`, as bf16, zeros up to `stored`.
void copy(const Bf16Row& row, int64_t offset, int64_t n, int64_t stored, uint16_t* dst) {
  if (row.type == DType::f16) return copy_split(row, offset, n, stored, dst);
  for (int64_t i = 0; i < stored; i += 32) {
    const __mmask32 live = first_lanes(n - i);
    __m512i v;
    if (row.type == DType::f32) {
      const float* src = static_cast<const float*>(row.src) + offset + i;
      const __m512 low = _mm512_maskz_loadu_ps(static_cast<__mmask16>(live), src);
      const __m512 high = _mm512_maskz_loadu_ps(static_cast<__mmask16>(live >> 16), src + 16);
      v = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
    } else {
      v = _mm512_maskz_loadu_epi16(live, static_cast<const uint16_t*>(row.src) + offset + i);
    }
    _mm512_mask_storeu_epi16(dst + i, first_lanes(stored - i), v);
  }
}

/// Three channels stored as four, a register of pixels at a time: the network's first layer. Returns the
/// pixels done.
int64_t copy_c3_as_c4(const Bf16Row& row, uint16_t* dst) {
  int64_t x = 0;
  if (row.type == DType::f32) {
    const float* src = static_cast<const float*>(row.src);
    for (; x + 4 <= row.count; x += 4) {
      const __m512 pixels = _mm512_maskz_expandloadu_ps(0x7777, src + x * 3);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + x * 4),
                          reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(pixels)));
    }
    return x;
  }
  alignas(64) static constexpr uint16_t kSpread[32] = {0,  1, 2,  0,  3,  4,  5,  0,  6,  7,  8,
                                                       0,  9, 10, 11, 0,  12, 13, 14, 0,  15, 16,
                                                       17, 0, 18, 19, 20, 0,  21, 22, 23, 0};
  const __m512i spread = _mm512_load_si512(kSpread);
  const uint16_t* src = static_cast<const uint16_t*>(row.src);
  for (; x + 8 <= row.count; x += 8) {
    const __m512i packed = _mm512_maskz_loadu_epi16(0x00ffffffU, src + x * 3);
    const __m512i pixels = _mm512_maskz_permutexvar_epi16(0x77777777U, spread, packed);
    if (row.type != DType::f16) {
      _mm512_storeu_si512(dst + x * 4, pixels);
      continue;
    }
    for (int half = 0; half < 2; ++half) {
      const Parts parts =
          split(half == 0 ? _mm512_castsi512_si256(pixels) : _mm512_extracti64x4_epi64(pixels, 1));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + x * 4 + half * 16), parts.high);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + row.plane + x * 4 + half * 16), parts.low);
    }
  }
  return x;
}

}  // namespace

void bf16_copy_row(const Bf16Row& row, uint16_t* dst) {
  const int64_t stored = row.groups * row.stored_c;
  if (row.src == nullptr) return zero(row, dst, row.total * stored);
  zero(row, dst, row.left * stored);
  dst += row.left * stored;
  if (row.c == row.stored_c && row.groups * row.c == row.src_pixel) {
    copy(row, 0, row.count * row.src_pixel, row.count * row.src_pixel, dst);
  } else {
    const bool image = row.c == 3 && row.stored_c == 4 && row.src_pixel == 3;
    for (int64_t x = image ? copy_c3_as_c4(row, dst) : 0; x < row.count; ++x)
      for (int64_t g = 0; g < row.groups; ++g)
        copy(row, x * row.src_pixel + g * row.c, row.c, row.stored_c, dst + x * stored + g * row.stored_c);
  }
  zero(row, dst + row.count * stored, (row.total - row.left - row.count) * stored);
}

}  // namespace narrow::kernels
