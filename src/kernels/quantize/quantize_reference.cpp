#include "kernels/lanes/element.h"
#include "kernels/quantize/quantize.h"
#include "numerics/quantization.h"

namespace narrow::kernels {

void quantize_linear_reference(const QuantizeSpec& spec, const void* src, void* dst) {
  for (int64_t i = 0; i < spec.count(); ++i) {
    const int64_t c = i / spec.inner % spec.channels;
    const int32_t zero_point = spec.zero_point != nullptr ? spec.zero_point[c] : 0;
    const IntegerRange range = spec.dst == DType::u8 ? kRangeU8 : kRangeS8;
    store_integer(spec.dst, dst, i,
                  quantize(load_real({spec.src, {}}, src, i), spec.scale[c], zero_point, range));
  }
}

void dequantize_linear_reference(const QuantizeSpec& spec, const void* src, void* dst) {
  for (int64_t i = 0; i < spec.count(); ++i) {
    const int64_t c = i / spec.inner % spec.channels;
    const auto zero_point = static_cast<uint32_t>(spec.zero_point != nullptr ? spec.zero_point[c] : 0);
    const int32_t q =
        spec.src == DType::s32 ? static_cast<const int32_t*>(src)[i] : load_integer(spec.src, src, i);
    const auto centred = static_cast<int32_t>(static_cast<uint32_t>(q) - zero_point);
    store_real({spec.dst, {}}, dst, i, static_cast<float>(centred) * spec.scale[c]);
  }
}

}  // namespace narrow::kernels
