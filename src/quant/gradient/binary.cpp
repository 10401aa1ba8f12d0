// Functions of several values with broadcasting: an operand's gradient is computed in the result's shape,
// then summed over the axes along which the operand was repeated.
#include <array>
#include <cmath>
#include <memory>

#include "quant/gradient/broadcast.h"
#include "quant/gradient/rule.h"

namespace narrow::quant::gradient {
namespace {

using ir::Op;

constexpr int64_t kTask = 16 << 10;  // elements

/// Of one operand: how it is read, and how its gradient is summed.
struct Operand {
  std::vector<int64_t> strides;
  SumTo sum;
  std::vector<float> whole;  // its gradient in the result's shape, where that has to be summed

  Operand(const Shape& shape, const Shape& result) : strides(strides_as(shape, result)), sum(result, shape) {}
  float* target(float* dx, int64_t elements) {
    if (sum.is_identity()) return dx;
    whole.resize(static_cast<size_t>(elements));
    return whole.data();
  }
};

/// slope(operand, a, b, y): dy/d(operand 0 or 1).
template <class Slope>
Backward by_pair(const RuleCase& c, Slope slope) {
  const Shape shape = c.result_shape();
  auto operands = std::make_shared<std::array<Operand, 2>>(
      std::array{Operand(c.shape(0), shape), Operand(c.shape(1), shape)});
  const int64_t n = elements_of(shape);
  const bool alike = c.shape(0) == c.shape(1);
  return [=](const BackwardBuffers& buffers, ThreadPool& pool) {
    const auto *a = static_cast<const float*>(buffers.x[0]), *b = static_cast<const float*>(buffers.x[1]),
               *y = static_cast<const float*>(buffers.y[0]), *dy = buffers.dy[0];
    for (size_t k = 0; k < 2; ++k) {
      if (buffers.dx[k] == nullptr) continue;
      Operand& operand = (*operands)[k];
      float* to = operand.target(buffers.dx[k], n);
      parallel_for(pool, n, kTask, [&](int64_t begin, int64_t end) {
        if (alike) {
          for (int64_t i = begin; i < end; ++i) to[i] = dy[i] * slope(k, a[i], b[i], y[i]);
          return;
        }
        walk_pairs(
            shape, (*operands)[0].strides, (*operands)[1].strides, begin, end,
            [&](int64_t i, int64_t at_a, int64_t at_b) { to[i] = dy[i] * slope(k, a[at_a], b[at_b], y[i]); });
      });
      if (to != buffers.dx[k]) operand.sum.run(to, buffers.dx[k], pool);
    }
  };
}

}  // namespace

/// Add, Sub, Sum, Mean: dx = factor * dy.
Result<Backward> sum_rule(const RuleCase& c) {
  const Op op = c.node.op();
  const Shape shape = c.result_shape();
  const int64_t n = elements_of(shape);
  auto sums = std::make_shared<std::vector<SumTo>>();
  for (size_t i = 0; i < c.node.inputs().size(); ++i) sums->emplace_back(shape, c.shape(static_cast<int>(i)));
  const float share = op == Op::Mean ? 1.0F / static_cast<float>(sums->size()) : 1.0F;
  return Backward([=](const BackwardBuffers& b, ThreadPool& pool) {
    for (size_t k = 0; k < sums->size(); ++k) {
      if (b.dx[k] == nullptr) continue;
      (*sums)[k].run(b.dy[0], b.dx[k], pool);
      const float factor = op == Op::Sub && k == 1 ? -1.0F : share;
      if (factor == 1.0F) continue;
      const int64_t count = (*sums)[k].is_identity() ? n : elements_of(c.shape(static_cast<int>(k)));
      for (int64_t i = 0; i < count; ++i) b.dx[k][i] *= factor;
    }
  });
}

Result<Backward> mul_rule(const RuleCase& c) {
  return by_pair(c, [](size_t k, float a, float b, float) { return k == 0 ? b : a; });
}

Result<Backward> div_rule(const RuleCase& c) {
  return by_pair(c, [](size_t k, float, float b, float y) { return k == 0 ? 1.0F / b : -y / b; });
}

/// d/da = b a^(b - 1), d/db = y ln a (0 where a is not positive).
Result<Backward> pow_rule(const RuleCase& c) {
  return by_pair(c, [](size_t k, float a, float b, float y) {
    if (k == 1) return a > 0.0F ? y * std::log(a) : 0.0F;
    return b == 2.0F ? 2.0F * a : b == 0.0F ? 0.0F : b * std::pow(a, b - 1.0F);
  });
}

/// All to the operand that was taken, to the first of equals.
Result<Backward> extremum_rule(const RuleCase& c) {
  if (c.node.inputs().size() != 2)
    return no_rule(c.node, "two operands", std::to_string(c.node.inputs().size()));
  const bool max = c.node.op() == Op::Max;
  return by_pair(c, [max](size_t k, float a, float b, float) {
    const bool first = max ? a >= b : a <= b;
    return first == (k == 0) ? 1.0F : 0.0F;
  });
}

Result<Backward> prelu_rule(const RuleCase& c) {
  return by_pair(c, [](size_t k, float x, float slope, float) {
    return k == 0 ? (x >= 0.0F ? 1.0F : slope) : (x >= 0.0F ? 0.0F : x);
  });
}

Result<Backward> where_rule(const RuleCase& c) {
  const Shape shape = c.result_shape();
  const int64_t n = elements_of(shape);
  auto operands = std::make_shared<std::array<Operand, 2>>(
      std::array{Operand(c.shape(1), shape), Operand(c.shape(2), shape)});
  const std::vector<int64_t> condition = strides_as(c.shape(0), shape);
  return Backward([=](const BackwardBuffers& b, ThreadPool& pool) {
    const auto* chosen = static_cast<const bool*>(b.x[0]);
    for (size_t k = 0; k < 2; ++k) {
      if (b.dx[k + 1] == nullptr) continue;
      Operand& operand = (*operands)[k];
      float* to = operand.target(b.dx[k + 1], n);
      parallel_for(pool, n, kTask, [&](int64_t begin, int64_t end) {
        walk_pairs(shape, condition, condition, begin, end, [&](int64_t i, int64_t at, int64_t) {
          to[i] = chosen[at] == (k == 0) ? b.dy[0][i] : 0.0F;
        });
      });
      if (to != b.dx[k + 1]) operand.sum.run(to, b.dx[k + 1], pool);
    }
  });
}

}  // namespace narrow::quant::gradient
