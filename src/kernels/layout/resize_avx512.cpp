#include "kernels/lanes/lanes_avx512.h"
#include "kernels/layout/resize_taps.h"

namespace narrow::kernels {
namespace {

template <DType kType>
void lerp(const LerpPixel& p, void* dst) {
  const QuantLanes stored = quant_lanes({});  // integers as they are
  const __m512 w = _mm512_set1_ps(p.along_w), h = _mm512_set1_ps(p.along_h);
  for (int64_t c = 0; c < p.channels; c += 16) {
    const __mmask16 live = first_lanes16(p.channels - c);
    __m512 v[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) v[i] = load16<kType>(p.corner[i], c, live, stored);
    const __m512 top = _mm512_fmadd_ps(_mm512_sub_ps(v[1], v[0]), w, v[0]);
    const __m512 bottom = _mm512_fmadd_ps(_mm512_sub_ps(v[3], v[2]), w, v[2]);
    store16<kType>(dst, c, live, _mm512_fmadd_ps(_mm512_sub_ps(bottom, top), h, top), stored);
  }
}

}  // namespace

void lerp_avx512(DType type, const LerpPixel& pixel, void* dst) {
  switch (type) {
    case DType::f32:
      return lerp<DType::f32>(pixel, dst);
    case DType::bf16:
      return lerp<DType::bf16>(pixel, dst);
    case DType::f16:
      return lerp<DType::f16>(pixel, dst);
    case DType::u8:
      return lerp<DType::u8>(pixel, dst);
    default:
      return lerp<DType::s8>(pixel, dst);
  }
}

}  // namespace narrow::kernels
