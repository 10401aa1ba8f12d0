// Eight elements at a time; the tail goes through a padded copy on the stack.
#include <immintrin.h>

#include "kernels/lanes/lanes.h"

namespace narrow::kernels {
namespace {

template <DType kType>
inline __m256 load8(const void* src, const LaneQuant& q) {
  if constexpr (kType == DType::f32) return _mm256_loadu_ps(static_cast<const float*>(src));
  if constexpr (kType == DType::f16)
    return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(src)));
  if constexpr (kType == DType::bf16) {
    const __m256i bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(static_cast<const __m128i*>(src)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16));
  }
  if constexpr (kType == DType::u8 || kType == DType::s8) {
    const __m128i bytes = _mm_loadl_epi64(static_cast<const __m128i*>(src));
    const __m256i ints = kType == DType::u8 ? _mm256_cvtepu8_epi32(bytes) : _mm256_cvtepi8_epi32(bytes);
    const __m256i centred = _mm256_sub_epi32(ints, _mm256_set1_epi32(q.zero_point));
    return _mm256_mul_ps(_mm256_cvtepi32_ps(centred), _mm256_set1_ps(q.scale));
  }
}

/// Eight 32-bit lanes, each within 16 (or 8) bits after saturation, packed in order.
inline __m128i pack16(__m256i x) {
  return _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}

inline __m128i to_bf16(__m256 x) {
  const __m256i u = _mm256_castps_si256(x), high = _mm256_srli_epi32(u, 16);
  const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
  const __m256i rounded =
      _mm256_srli_epi32(_mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  return pack16(_mm256_blendv_epi8(rounded, _mm256_or_si256(high, _mm256_set1_epi32(0x40)), nan));
}

template <DType kType>
inline __m128i to_bytes(__m256 x, const LaneQuant& q) {
  const __m256 scaled = _mm256_mul_ps(x, _mm256_set1_ps(q.inverse));
  const __m256 bounded =
      _mm256_min_ps(_mm256_max_ps(scaled, _mm256_set1_ps(-16777216.0F)), _mm256_set1_ps(16777216.0F));
  const __m256i ints = _mm256_add_epi32(_mm256_cvtps_epi32(bounded), _mm256_set1_epi32(q.zero_point));
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(ints), _mm256_extracti128_si256(ints, 1));
  return kType == DType::u8 ? _mm_packus_epi16(words, words) : _mm_packs_epi16(words, words);
}

template <DType kType>
inline void store8(void* dst, __m256 x, const LaneQuant& q) {
  if constexpr (kType == DType::f32) _mm256_storeu_ps(static_cast<float*>(dst), x);
  if constexpr (kType == DType::f16)
    _mm_storeu_si128(static_cast<__m128i*>(dst),
                     _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  if constexpr (kType == DType::bf16) _mm_storeu_si128(static_cast<__m128i*>(dst), to_bf16(x));
  if constexpr (kType == DType::u8 || kType == DType::s8)
    _mm_storel_epi64(static_cast<__m128i*>(dst), to_bytes<kType>(x, q));
}

template <DType kType>
constexpr int64_t kBytes = kType == DType::f32                          ? 4
                           : (kType == DType::u8 || kType == DType::s8) ? 1
                                                                        : 2;

inline void copy_bytes(void* dst, const void* src, int64_t n) {
  for (int64_t i = 0; i < n; ++i) static_cast<uint8_t*>(dst)[i] = static_cast<const uint8_t*>(src)[i];
}

template <DType kType>
void load(const void* src, int64_t n, const LaneQuant& quant, float* dst) {
  const auto* in = static_cast<const uint8_t*>(src);
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(dst + i, load8<kType>(in + i * kBytes<kType>, quant));
  if (i == n) return;
  alignas(32) uint8_t padded[32] = {};
  alignas(32) float lanes[8];
  copy_bytes(padded, in + i * kBytes<kType>, (n - i) * kBytes<kType>);
  _mm256_store_ps(lanes, load8<kType>(padded, quant));
  for (int64_t j = 0; i + j < n; ++j) dst[i + j] = lanes[j];
}

template <DType kType>
void store(const float* src, int64_t n, const LaneQuant& quant, void* dst) {
  auto* out = static_cast<uint8_t*>(dst);
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) store8<kType>(out + i * kBytes<kType>, _mm256_loadu_ps(src + i), quant);
  if (i == n) return;
  alignas(32) float lanes[8] = {};
  alignas(32) uint8_t packed[32];
  for (int64_t j = 0; i + j < n; ++j) lanes[j] = src[i + j];
  store8<kType>(packed, _mm256_load_ps(lanes), quant);
  copy_bytes(out + i * kBytes<kType>, packed, (n - i) * kBytes<kType>);
}

}  // namespace

LoadLanes load_lanes_avx2(DType type) {
  switch (type) {
    case DType::f32:
      return load<DType::f32>;
    case DType::bf16:
      return load<DType::bf16>;
    case DType::f16:
      return load<DType::f16>;
    case DType::u8:
      return load<DType::u8>;
    default:
      return load<DType::s8>;
  }
}

StoreLanes store_lanes_avx2(DType type) {
  switch (type) {
    case DType::f32:
      return store<DType::f32>;
    case DType::bf16:
      return store<DType::bf16>;
    case DType::f16:
      return store<DType::f16>;
    case DType::u8:
      return store<DType::u8>;
    default:
      return store<DType::s8>;
  }
}

}  // namespace narrow::kernels
