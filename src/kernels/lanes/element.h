// One element of any Format, for references and plain paths. Not for files with ISA flags.
#pragma once

#include <cstdint>

#include "kernels/requantize.h"
#include "kernels/tensor_quant.h"

namespace narrow::kernels {

inline int32_t low_of(DType type) { return type == DType::u8 ? 0 : -128; }
inline int32_t high_of(DType type) { return type == DType::u8 ? 255 : 127; }

inline int32_t load_integer(DType type, const void* data, int64_t i) {
  return type == DType::u8 ? static_cast<const uint8_t*>(data)[i] : static_cast<const int8_t*>(data)[i];
}

inline void store_integer(DType type, void* data, int64_t i, int32_t q) {
  if (type == DType::u8)
    static_cast<uint8_t*>(data)[i] = static_cast<uint8_t>(q);
  else
    static_cast<int8_t*>(data)[i] = static_cast<int8_t>(q);
}

inline float load_real(const Format& format, const void* data, int64_t i) {
  switch (format.type) {
    case DType::f32:
      return static_cast<const float*>(data)[i];
    case DType::bf16:
      return static_cast<float>(static_cast<const bf16*>(data)[i]);
    case DType::f16:
      return static_cast<float>(static_cast<const f16*>(data)[i]);
    default:
      return static_cast<float>(load_integer(format.type, data, i) - format.quant.zero_point) *
             format.quant.scale;
  }
}

inline void store_real(const Format& format, void* data, int64_t i, float r) {
  switch (format.type) {
    case DType::f32:
      static_cast<float*>(data)[i] = r;
      break;
    case DType::bf16:
      static_cast<bf16*>(data)[i] = bf16(r);
      break;
    case DType::f16:
      static_cast<f16*>(data)[i] = f16(r);
      break;
    default:
      store_integer(format.type, data, i,
                    requantize_real(r, format.quant.scale, format.quant.zero_point, low_of(format.type),
                                    high_of(format.type)));
  }
}

}  // namespace narrow::kernels
