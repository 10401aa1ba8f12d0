// Softmax family: along one axis, the largest value taken off first, sums in double.
#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

/// For each line along the axis: m = max x, s = sum exp(x - m); y = f(x - m, s).
template <class F>
Outputs softmax_with(const ir::Node& node, Inputs inputs, F f) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(const int64_t axis, normal_axis(node, node.int_attr("axis", -1), x.rank()));
  const AxisView v = view_axis(x.shape(), axis);
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), x.shape()));
  return for_floats(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    for (int64_t line = 0; line < v.outer * v.inner; ++line) {
      const int64_t start = line / v.inner * v.size * v.inner + line % v.inner;
      const T* src = x.data<T>().data() + start;
      T* dst = y.mutable_data<T>().data() + start;
      double max = -std::numeric_limits<double>::infinity(), sum = 0;
      for (int64_t i = 0; i < v.size; ++i) max = std::max(max, static_cast<double>(src[i * v.inner]));
      for (int64_t i = 0; i < v.size; ++i) sum += std::exp(src[i * v.inner] - max);
      for (int64_t i = 0; i < v.size; ++i) dst[i * v.inner] = static_cast<T>(f(src[i * v.inner] - max, sum));
    }
    return one(std::move(y));
  });
}

}  // namespace

Outputs eval_softmax(const ir::Node& node, Inputs inputs) {
  return softmax_with(node, inputs, [](double x, double sum) { return std::exp(x) / sum; });
}

Outputs eval_log_softmax(const ir::Node& node, Inputs inputs) {
  return softmax_with(node, inputs, [](double x, double sum) { return x - std::log(sum); });
}

}  // namespace narrow::runtime::reference
