// 64 channels at a time: one register of bytes, four of floats. Taps are the inner loop, results stay in
// registers.
#include "kernels/lanes/lanes_avx512.h"
#include "kernels/pool/window.h"

namespace narrow::kernels {
namespace {

constexpr QuantLanes kNoQuant = {};

struct Block {
  __mmask16 live[4];
};
inline Block block_of(int64_t channels) {
  const __mmask64 live = first_lanes64(channels);
  return {{static_cast<__mmask16>(live), static_cast<__mmask16>(live >> 16),
           static_cast<__mmask16>(live >> 32), static_cast<__mmask16>(live >> 48)}};
}

template <DType kType>
void max_floats(const PoolWindow& w, void* dst) {
  for (int64_t c = 0; c < w.channels; c += 64) {
    const Block b = block_of(w.channels - c);
    const __m512 lowest = _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(0xff800000U)));
    __m512 best[4] = {lowest, lowest, lowest, lowest};
    for (int64_t i = 0; i < w.rows; ++i)
      for (int64_t j = 0; j < w.taps; ++j) {
        const uint8_t* tap = w.src + i * w.row_bytes + j * w.tap_bytes;
#pragma GCC unroll 4
        for (int v = 0; v < 4; ++v)  // v > best ? v : best
          best[v] = _mm512_max_ps(load16<kType>(tap, c + 16 * v, b.live[v], kNoQuant), best[v]);
      }
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) store16<kType>(dst, c + 16 * v, b.live[v], best[v], kNoQuant);
  }
}

template <bool kSigned>
void max_bytes(const PoolWindow& w, void* dst) {
  for (int64_t c = 0; c < w.channels; c += 64) {
    const __mmask64 live = first_lanes64(w.channels - c);
    __m512i best = kSigned ? _mm512_set1_epi8(-128) : _mm512_setzero_si512();
    for (int64_t i = 0; i < w.rows; ++i)
      for (int64_t j = 0; j < w.taps; ++j) {
        const __m512i v = _mm512_maskz_loadu_epi8(live, w.src + i * w.row_bytes + j * w.tap_bytes + c);
        best = kSigned ? _mm512_max_epi8(v, best) : _mm512_max_epu8(v, best);
      }
    _mm512_mask_storeu_epi8(static_cast<uint8_t*>(dst) + c, live, best);
  }
}

template <DType kType>
void sum_floats(const PoolSum& sum, const PoolWindow& w, float* dst) {
  const __m512 divisor = _mm512_set1_ps(sum.factor);
  for (int64_t c = 0; c < w.channels; c += 64) {
    const Block b = block_of(w.channels - c);
    __m512 total[4] = {};
    for (int64_t i = 0; i < w.rows; ++i) {
      __m512 row[4] = {};
      for (int64_t j = 0; j < w.taps; ++j) {
        const uint8_t* tap = w.src + i * w.row_bytes + j * w.tap_bytes;
#pragma GCC unroll 4
        for (int v = 0; v < 4; ++v)
          row[v] = _mm512_add_ps(row[v], load16<kType>(tap, c + 16 * v, b.live[v], kNoQuant));
      }
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) total[v] = _mm512_add_ps(total[v], row[v]);
    }
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v)
      _mm512_mask_storeu_ps(dst + c + 16 * v, b.live[v], _mm512_div_ps(total[v], divisor));
  }
}

template <DType kType>
void sum_bytes(const PoolSum& sum, const PoolWindow& w, float* dst) {
  const __m512 factor = _mm512_set1_ps(sum.factor);
  const __m512i correction = _mm512_set1_epi32(static_cast<int32_t>(w.rows * w.taps) * sum.zero_point);
  for (int64_t c = 0; c < w.channels; c += 64) {
    const Block b = block_of(w.channels - c);
    __m512i acc[4] = {};
    for (int64_t i = 0; i < w.rows; ++i)
      for (int64_t j = 0; j < w.taps; ++j) {
        const uint8_t* tap = w.src + i * w.row_bytes + j * w.tap_bytes;
#pragma GCC unroll 4
        for (int v = 0; v < 4; ++v)
          acc[v] = _mm512_add_epi32(acc[v], load_ints16<kType>(tap, c + 16 * v, b.live[v]));
      }
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const __m512 real = _mm512_cvtepi32_ps(_mm512_sub_epi32(acc[v], correction));
      _mm512_mask_storeu_ps(dst + c + 16 * v, b.live[v], _mm512_mul_ps(real, factor));
    }
  }
}

}  // namespace

void pool_max_avx512(DType type, const PoolWindow& window, void* dst) {
  switch (type) {
    case DType::f32:
      return max_floats<DType::f32>(window, dst);
    case DType::bf16:
      return max_floats<DType::bf16>(window, dst);
    case DType::f16:
      return max_floats<DType::f16>(window, dst);
    case DType::u8:
      return max_bytes<false>(window, dst);
    default:
      return max_bytes<true>(window, dst);
  }
}

void pool_sum_avx512(const PoolSum& sum, const PoolWindow& window, float* dst) {
  switch (sum.type) {
    case DType::f32:
      return sum_floats<DType::f32>(sum, window, dst);
    case DType::bf16:
      return sum_floats<DType::bf16>(sum, window, dst);
    case DType::f16:
      return sum_floats<DType::f16>(sum, window, dst);
    case DType::u8:
      return sum_bytes<DType::u8>(sum, window, dst);
    default:
      return sum_bytes<DType::s8>(sum, window, dst);
  }
}

}  // namespace narrow::kernels
