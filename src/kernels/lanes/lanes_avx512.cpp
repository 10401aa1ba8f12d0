#include "kernels/lanes/lanes_avx512.h"

namespace narrow::kernels {
namespace {

template <DType kType>
void load(const void* src, int64_t n, const LaneQuant& quant, float* dst) {
  const QuantLanes q = quant_lanes(quant);
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) _mm512_storeu_ps(dst + i, load16<kType>(src, i, 0xffff, q));
  if (i < n) {
    const __mmask16 live = first_lanes16(n - i);
    _mm512_mask_storeu_ps(dst + i, live, load16<kType>(src, i, live, q));
  }
}

template <DType kType>
void store(const float* src, int64_t n, const LaneQuant& quant, void* dst) {
  const QuantLanes q = quant_lanes(quant);
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) store16<kType>(dst, i, 0xffff, _mm512_loadu_ps(src + i), q);
  if (i < n) {
    const __mmask16 live = first_lanes16(n - i);
    store16<kType>(dst, i, live, _mm512_maskz_loadu_ps(live, src + i), q);
  }
}

}  // namespace

LoadLanes load_lanes_avx512(DType type) {
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

StoreLanes store_lanes_avx512(DType type) {
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
