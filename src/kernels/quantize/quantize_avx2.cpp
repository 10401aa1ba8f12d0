// FP32 to bytes and back where one scale serves a stretch; everything else in plain loops.
#include "kernels/math/simd_avx2.h"
#include "kernels/quantize/codes.h"

namespace narrow::kernels {
namespace {

using V = Simd256;

/// round_half_even(x / scale) + zero_point, saturated; the sum in float as in numerics/quantization.h. NaN
/// becomes the lowest value because max takes its second operand.
template <DType kDst>
struct Encoder {
  __m256 scale, zero_point, low, high;

  explicit Encoder(const CodeRun& run)
      : scale(V::set1(*run.scale)),
        zero_point(V::set1(static_cast<float>(*run.zero_point))),
        low(V::set1(kDst == DType::u8 ? 0.0F : -128.0F)),
        high(V::set1(kDst == DType::u8 ? 255.0F : 127.0F)) {}

  __m256i operator()(__m256 x) const {
    const __m256 q = V::add(V::round(V::div(x, scale)), zero_point);
    return _mm256_cvttps_epi32(V::min(V::max(q, low), high));
  }
};

/// Four vectors of codes as 32 bytes in their order.
template <DType kDst>
__m256i bytes_of_codes(__m256i a, __m256i b, __m256i c, __m256i d) {
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const __m256i low = _mm256_packs_epi32(a, b), high = _mm256_packs_epi32(c, d);
  return _mm256_permutevar8x32_epi32(
      kDst == DType::u8 ? _mm256_packus_epi16(low, high) : _mm256_packs_epi16(low, high), order);
}

template <DType kDst>
void quantize(const CodeRun& run) {
  const Encoder<kDst> encode(run);
  const auto* from = static_cast<const float*>(run.from);
  auto* to = static_cast<uint8_t*>(run.to);
  int64_t i = 0;
  for (; i + 32 <= run.n; i += 32) {
    const __m256i codes =
        bytes_of_codes<kDst>(encode(V::load(from + i)), encode(V::load(from + i + 8)),
                             encode(V::load(from + i + 16)), encode(V::load(from + i + 24)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), codes);
  }
  CodeRun rest = run;
  rest.from = from + i, rest.to = to + i, rest.n = run.n - i;
  if (rest.n > 0) quantize_run_plain(rest);
}

template <DType kSrc>
void dequantize(const CodeRun& run) {
  const __m256 scale = V::set1(*run.scale);
  const __m256i zero_point = _mm256_set1_epi32(*run.zero_point);
  const auto* from = static_cast<const uint8_t*>(run.from);
  auto* to = static_cast<float*>(run.to);
  int64_t i = 0;
  for (; i + 8 <= run.n; i += 8) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from + i));
    const __m256i codes = kSrc == DType::u8 ? _mm256_cvtepu8_epi32(bytes) : _mm256_cvtepi8_epi32(bytes);
    V::store(to + i, V::mul(_mm256_cvtepi32_ps(_mm256_sub_epi32(codes, zero_point)), scale));
  }
  CodeRun rest = run;
  rest.from = from + i, rest.to = to + i, rest.n = run.n - i;
  if (rest.n > 0) dequantize_run_plain(rest);
}

}  // namespace

void quantize_run_avx2(const CodeRun& run) {
  if (run.per_element || run.src != DType::f32) return quantize_run_plain(run);
  run.dst == DType::u8 ? quantize<DType::u8>(run) : quantize<DType::s8>(run);
}

void dequantize_run_avx2(const CodeRun& run) {
  if (run.per_element || run.dst != DType::f32 || run.src == DType::s32) return dequantize_run_plain(run);
  run.src == DType::u8 ? dequantize<DType::u8>(run) : dequantize<DType::s8>(run);
}

}  // namespace narrow::kernels
