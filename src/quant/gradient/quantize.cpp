// Quantized values inside a block: straight through where nothing saturates.
//   y = (clamp(round(x / s) + z) - z) s,   dx = dy where round(x / s) + z is within the codes, else 0
// The gradient of codes is kept in real units. Source: Bengio, Leonard and Courville, "Estimating or
// Propagating Gradients Through Stochastic Neurons", arXiv:1308.3432.
#include "kernels/gradient/gradient.h"
#include "numerics/quantization.h"
#include "quant/gradient/rule.h"

namespace narrow::quant::gradient {

Result<Backward> quantize_rule(const RuleCase& c) {
  const DType type = c.node.output()->type.dtype;
  const Tensor* scale = c.constant(1);
  const bool whole =
      scale != nullptr && scale->elements() == 1 &&
      (c.node.input(2) == nullptr || (c.constant(2) != nullptr && c.constant(2)->elements() == 1));
  if (!whole || !is_int8(type))
    return no_rule(c.node, "a constant scale of the whole tensor and 8 bits",
                   ir::to_string(c.node.output()->type));
  const IntegerRange range = type == DType::u8 ? kRangeU8 : kRangeS8;
  const float step = to_floats(*scale)[0];
  const float zero = c.node.input(2) == nullptr ? 0.0F : to_floats(*c.constant(2))[0];
  // Half a step beyond the last codes still rounds to them.
  const float low = (static_cast<float>(range.low) - zero - 0.5F) * step,
              high = (static_cast<float>(range.high) - zero + 0.5F) * step;
  return Backward([=, n = c.elements(0), isa = c.isa](const BackwardBuffers& b, ThreadPool& pool) {
    parallel_for(pool, n, 16 << 10, [&](int64_t begin, int64_t end) {
      kernels::bounded_gradient({static_cast<const float*>(b.x[0]) + begin, b.dy[0] + begin, b.dx[0] + begin,
                                 end - begin, low, high},
                                isa);
    });
  });
}

Result<Backward> dequantize_rule(const RuleCase& c) { return copy_rule(c); }

}  // namespace narrow::quant::gradient
