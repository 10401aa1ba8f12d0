// LayerNormalization and RMSNormalization over the axes from `axis` on:
//   n = (x - mean) / d,   d = sqrt(var + epsilon)   (rms: mean 0),   y = n gamma + beta
//   dx = (g - mean(g) - n mean(g n)) / d,   g = dy gamma   (rms: without mean(g))
#include <algorithm>
#include <cmath>

#include "quant/gradient/broadcast.h"
#include "quant/gradient/rule.h"

namespace narrow::quant::gradient {
namespace {

struct Row {
  int64_t n;
  bool rms;
  double epsilon;

  void run(const float* x, const float* dy, const float* gamma, float* dx) const {
    const auto count = static_cast<double>(n);
    double mean = 0, square = 0, sum = 0, product = 0;
    for (int64_t i = 0; i < n && !rms; ++i) mean += static_cast<double>(x[i]) / count;
    for (int64_t i = 0; i < n; ++i) square += (x[i] - mean) * (x[i] - mean) / count;
    const double inverse = 1.0 / std::sqrt(square + epsilon);
    const auto g = [&](int64_t i) {
      return static_cast<double>(dy[i]) * (gamma == nullptr ? 1.0 : static_cast<double>(gamma[i]));
    };
    for (int64_t i = 0; i < n; ++i) sum += g(i), product += g(i) * (x[i] - mean) * inverse;
    const double shift = rms ? 0.0 : sum / count;
    for (int64_t i = 0; i < n; ++i)
      dx[i] = static_cast<float>((g(i) - shift - (x[i] - mean) * inverse * product / count) * inverse);
  }
};

}  // namespace

Result<Backward> norm_rule(const RuleCase& c) {
  const Shape shape = c.shape(0);
  const auto rank = static_cast<int64_t>(shape.size());
  int64_t axis = c.node.int_attr("axis", -1), columns = 1;
  if (axis < 0) axis += rank;
  for (int64_t i = axis; i < rank; ++i) columns *= shape[static_cast<size_t>(i)];
  if (c.node.outputs().size() > 1) return no_rule(c.node, "one result", "statistics too");
  if (c.elements(1) != columns)
    return no_rule(c.node, "a factor of the normalised shape", to_string(c.shape(1)));
  const Row row{columns, c.node.op() == ir::Op::RMSNormalization,
                static_cast<double>(c.node.float_attr("epsilon", 1e-5F))};
  const int64_t rows = columns == 0 ? 0 : elements_of(shape) / columns;
  return Backward([=, node = &c.node](const BackwardBuffers& b, ThreadPool& pool) {
    NARROW_CHECK(b.dx[1] == nullptr && (b.dx.size() < 3 || b.dx[2] == nullptr));
    parallel_for(pool, rows, std::max<int64_t>(1, 2048 / columns), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        row.run(static_cast<const float*>(b.x[0]) + r * columns, b.dy[0] + r * columns,
                static_cast<const float*>(b.x[1]), b.dx[0] + r * columns);
    });
  });
}

}  // namespace narrow::quant::gradient
