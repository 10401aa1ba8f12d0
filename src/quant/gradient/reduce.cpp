// Reductions and Softmax.
#include <algorithm>
#include <cmath>

#include "quant/gradient/broadcast.h"
#include "quant/gradient/rule.h"

namespace narrow::quant::gradient {
namespace {

using ir::Op;

/// The result's shape with every reduced axis kept at length 1.
Result<Shape> kept_shape(const RuleCase& c) {
  Shape shape = c.shape(0);
  const auto rank = static_cast<int64_t>(shape.size());
  std::vector<int64_t> axes;
  if (c.node.input(1) != nullptr) {
    const Tensor* list = c.constant(1);
    if (list == nullptr) return no_rule(c.node, "constant axes", "computed ones");
    axes = to_ints(*list);
  }
  if (axes.empty() && c.node.int_attr("noop_with_empty_axes", 0) == 0)
    for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
  for (const int64_t axis : axes) shape.at(static_cast<size_t>(axis < 0 ? axis + rank : axis)) = 1;
  return shape;
}

}  // namespace

/// sum: dy; mean: dy / count; sum of squares: 2 x dy; L2: x dy / y.
Result<Backward> reduce_rule(const RuleCase& c) {
  NARROW_TRY(const Shape kept, kept_shape(c));
  const Shape shape = c.shape(0);
  const std::vector<int64_t> strides = strides_as(kept, shape);
  const int64_t n = elements_of(shape), results = elements_of(kept);
  const Op op = c.node.op();
  const float mean = results == 0 ? 0.0F : static_cast<float>(results) / static_cast<float>(n);
  return Backward([=](const BackwardBuffers& b, ThreadPool& pool) {
    const auto *x = static_cast<const float*>(b.x[0]), *y = static_cast<const float*>(b.y[0]), *dy = b.dy[0];
    float* dx = b.dx[0];
    parallel_for(pool, n, 16 << 10, [&](int64_t begin, int64_t end) {
      walk_pairs(shape, strides, strides, begin, end, [&](int64_t i, int64_t at, int64_t) {
        const float factor = op == Op::ReduceMean        ? mean
                             : op == Op::ReduceSumSquare ? 2.0F * x[i]
                             : op == Op::ReduceL2        ? (y[at] > 0.0F ? x[i] / y[at] : 0.0F)
                                                         : 1.0F;
        dx[i] = dy[at] * factor;
      });
    });
  });
}

/// softmax: y (dy - sum(y dy)); its logarithm: dy - exp(y) sum(dy).
Result<Backward> softmax_rule(const RuleCase& c) {
  const Shape shape = c.shape(0);
  const auto rank = static_cast<int64_t>(shape.size());
  int64_t axis = c.node.int_attr("axis", -1), outer = 1, inner = 1;
  if (axis < 0) axis += rank;
  for (int64_t i = 0; i < rank; ++i)
    (i < axis ? outer : inner) *= i == axis ? 1 : shape[static_cast<size_t>(i)];
  const int64_t size = shape[static_cast<size_t>(axis)];
  const bool logarithm = c.node.op() == Op::LogSoftmax;
  return Backward([=](const BackwardBuffers& b, ThreadPool& pool) {
    const auto* y = static_cast<const float*>(b.y[0]);
    parallel_for(pool, outer * inner, std::max<int64_t>(1, 4096 / std::max<int64_t>(1, size)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t row = begin; row < end; ++row) {
                     const int64_t first = row / inner * size * inner + row % inner;
                     double sum = 0;
                     for (int64_t k = 0; k < size; ++k) {
                       const int64_t i = first + k * inner;
                       sum += static_cast<double>(b.dy[0][i]) * (logarithm ? 1.0 : static_cast<double>(y[i]));
                     }
                     for (int64_t k = 0; k < size; ++k) {
                       const int64_t i = first + k * inner;
                       const double dy = b.dy[0][i], at = y[i];
                       b.dx[0][i] = static_cast<float>(logarithm ? dy - std::exp(at) * sum : at * (dy - sum));
                     }
                   }
                 });
  });
}

}  // namespace narrow::quant::gradient
