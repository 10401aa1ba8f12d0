#include "runtime/filler.h"

#include <algorithm>

#include "base/random.h"
#include "numerics/bf16.h"
#include "numerics/fp16.h"

namespace narrow::runtime {

AlignedBuffer filler(const ir::TensorType& type) {
  AlignedBuffer buffer(elements_of(type.shape()) * bytes_of(type.dtype));
  Random random(1);
  const int64_t count = elements_of(type.shape());
  for (int64_t i = 0; i < count; ++i) {
    const auto x = static_cast<float>(random.uniform(-1, 1));
    if (type.dtype == DType::f32)
      buffer.as<float>()[i] = x;
    else if (type.dtype == DType::bf16)
      buffer.as<bf16>()[i] = bf16(x);
    else if (type.dtype == DType::f16)
      buffer.as<f16>()[i] = f16(x);
    else if (type.dtype == DType::u8)
      buffer.as<uint8_t>()[i] = static_cast<uint8_t>(std::clamp(64 * random.normal(), 0.0, 255.0));
    else if (bytes_of(type.dtype) == 1)
      buffer.as<uint8_t>()[i] = static_cast<uint8_t>(random.next());
    else
      std::fill_n(buffer.data() + i * bytes_of(type.dtype), bytes_of(type.dtype), std::byte{0});
  }
  return buffer;
}

}  // namespace narrow::runtime
