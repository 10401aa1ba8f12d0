#include "kernels/lanes/lanes.h"

#include "kernels/lanes/element.h"

namespace narrow::kernels {
namespace {

template <DType kType>
void load_plain(const void* src, int64_t n, const LaneQuant& quant, float* dst) {
  const Format format{kType, {quant.scale, quant.zero_point}};
  for (int64_t i = 0; i < n; ++i) dst[i] = load_real(format, src, i);
}

template <DType kType>
void store_plain(const float* src, int64_t n, const LaneQuant& quant, void* dst) {
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (is_int8(kType))
      store_integer(kType, dst, i,
                    round_and_clamp(src[i] * quant.inverse, quant.zero_point, low_of(kType), high_of(kType)));
    else
      store_real({kType, {}}, dst, i, src[i]);
  }
}

LaneQuant lane_quant(const Format& format) {
  if (!is_int8(format.type)) return {};
  return {format.quant.scale, 1.0F / format.quant.scale, format.quant.zero_point};
}

}  // namespace

LoadLanes load_lanes_plain(DType type) {
  switch (type) {
    case DType::f32:
      return load_plain<DType::f32>;
    case DType::bf16:
      return load_plain<DType::bf16>;
    case DType::f16:
      return load_plain<DType::f16>;
    case DType::u8:
      return load_plain<DType::u8>;
    default:
      return load_plain<DType::s8>;
  }
}

StoreLanes store_lanes_plain(DType type) {
  switch (type) {
    case DType::f32:
      return store_plain<DType::f32>;
    case DType::bf16:
      return store_plain<DType::bf16>;
    case DType::f16:
      return store_plain<DType::f16>;
    case DType::u8:
      return store_plain<DType::u8>;
    default:
      return store_plain<DType::s8>;
  }
}

void load_run(const Format& format, const void* src, int64_t first, int64_t n, float* dst, Isa isa) {
  const void* begin = static_cast<const uint8_t*>(src) + first * bytes_of(format.type);
  const LoadLanes load = isa >= Isa::avx512 ? load_lanes_avx512(format.type)
                         : isa >= Isa::avx2 ? load_lanes_avx2(format.type)
                                            : load_lanes_plain(format.type);
  load(begin, n, lane_quant(format), dst);
}

void store_run(const Format& format, const float* src, void* dst, int64_t first, int64_t n, Isa isa) {
  void* begin = static_cast<uint8_t*>(dst) + first * bytes_of(format.type);
  const StoreLanes store = isa >= Isa::avx512 ? store_lanes_avx512(format.type)
                           : isa >= Isa::avx2 ? store_lanes_avx2(format.type)
                                              : store_lanes_plain(format.type);
  store(src, n, lane_quant(format), begin);
}

const float* run_as_f32(const Format& format, const void* src, int64_t first, int64_t n, float* buffer,
                        Isa isa) {
  if (format.type == DType::f32) return static_cast<const float*>(src) + first;
  load_run(format, src, first, n, buffer, isa);
  return buffer;
}

}  // namespace narrow::kernels
