#include <cmath>

#include "kernels/elementwise/elementwise.h"
#include "kernels/lanes/element.h"

namespace narrow::kernels {

void unary_reference(const UnarySpec& spec, const void* src, void* dst) {
  for (int64_t i = 0; i < spec.count; ++i)
    store_real(spec.dst, dst, i, apply(spec.function, load_real(spec.src, src, i)));
}

void binary_reference(const BinarySpec& spec, const void* a, const void* b, void* dst) {
  for (int64_t i = 0; i < spec.count(); ++i) {
    int64_t rest = i, ia = 0, ib = 0;
    for (int d = spec.rank - 1; d >= 0; --d) {
      const int64_t index = rest % spec.extents[d];
      rest /= spec.extents[d];
      ia += index * spec.a_strides[d];
      ib += index * spec.b_strides[d];
    }
    const float x = load_real(spec.a, a, ia);
    float r = 0;
    if (is_int8(spec.b.type) && (spec.op == Binary::add || spec.op == Binary::sub)) {
      const auto q = static_cast<float>(load_integer(spec.b.type, b, ib) - spec.b.quant.zero_point);
      r = std::fma(spec.op == Binary::add ? q : -q, spec.b.quant.scale, x);
    } else {
      r = apply(spec.op, x, load_real(spec.b, b, ib));
    }
    store_real(spec.dst, dst, i, apply(spec.activation, r));
  }
}

}  // namespace narrow::kernels
