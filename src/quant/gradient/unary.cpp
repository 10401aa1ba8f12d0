// Functions of one value: dx = dy f'(x), from x or from y = f(x), whichever is cheaper.
#include <cmath>
#include <limits>

#include "kernels/gradient/gradient.h"
#include "quant/gradient/rule.h"

namespace narrow::quant::gradient {
namespace {

using ir::Op;

constexpr int64_t kTask = 16 << 10;  // elements

float sigmoid(float x) { return 1.0F / (1.0F + std::exp(-x)); }

/// slope(x, y) for every element.
template <class Slope>
Backward by_element(int64_t n, Slope slope) {
  return [n, slope](const BackwardBuffers& b, ThreadPool& pool) {
    const auto *x = static_cast<const float*>(b.x[0]), *y = static_cast<const float*>(b.y[0]), *dy = b.dy[0];
    float* dx = b.dx[0];
    parallel_for(pool, n, kTask, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) dx[i] = dy[i] * slope(x[i], y[i]);
    });
  };
}

/// 1 between the bounds, both included, else 0.
Backward bounded(int64_t n, float low, float high, Isa isa) {
  return [=](const BackwardBuffers& b, ThreadPool& pool) {
    parallel_for(pool, n, kTask, [&](int64_t begin, int64_t end) {
      kernels::bounded_gradient({static_cast<const float*>(b.x[0]) + begin, b.dy[0] + begin, b.dx[0] + begin,
                                 end - begin, low, high},
                                isa);
    });
  };
}

/// A bound of Clip: absent, or a constant number.
Result<float> bound_of(const RuleCase& c, int input, float absent) {
  if (c.node.input(input) == nullptr) return absent;
  const Tensor* constant = c.constant(input);
  if (constant == nullptr || constant->elements() != 1)
    return no_rule(c.node, "bounds that are constant numbers", "computed ones");
  return to_floats(*constant)[0];
}

Result<Backward> clip(const RuleCase& c) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  NARROW_TRY(const float low, bound_of(c, 1, -kInf));
  NARROW_TRY(const float high, bound_of(c, 2, kInf));
  return bounded(c.elements(0), low, high, c.isa);
}

/// Phi(x) + x phi(x)
float gelu_slope(float x) {
  const double wide = x, bell = std::exp(-0.5 * wide * wide) * 0.3989422804014327;
  return static_cast<float>(0.5 * std::erfc(-wide * 0.7071067811865476) + wide * bell);
}

/// With u = k (x + 0.044715 x^3), t = tanh u:  (1 + t) / 2 + x (1 - t^2) / 2 u'
float gelu_tanh_slope(float x) {
  const double wide = x, k = 0.7978845608028654, u = k * (wide + 0.044715 * wide * wide * wide);
  const double t = std::tanh(u), slope = k * (1 + 3 * 0.044715 * wide * wide);
  return static_cast<float>(0.5 * (1 + t) + 0.5 * wide * (1 - t * t) * slope);
}

/// x tanh(softplus x):  t + x (1 - t^2) sigmoid(x)
float mish_slope(float x) {
  const double wide = x, plus = wide > 30 ? wide : std::log1p(std::exp(wide)), t = std::tanh(plus);
  return static_cast<float>(t + wide * (1 - t * t) / (1 + std::exp(-wide)));
}

Result<Backward> activation(const RuleCase& c) {
  const int64_t n = c.elements(0);
  const ir::Node& node = c.node;
  switch (node.op()) {
    case Op::Relu:
      return bounded(n, std::numeric_limits<float>::denorm_min(), std::numeric_limits<float>::infinity(),
                     c.isa);
    case Op::Clip:
      return clip(c);
    case Op::LeakyRelu:
      return by_element(
          n, [a = node.float_attr("alpha", 0.01F)](float x, float) { return x >= 0.0F ? 1.0F : a; });
    case Op::Elu:
      return by_element(
          n, [a = node.float_attr("alpha", 1.0F)](float x, float y) { return x >= 0.0F ? 1.0F : y + a; });
    case Op::Sigmoid:
      return by_element(n, [](float, float y) { return y * (1.0F - y); });
    case Op::HardSigmoid:
      return by_element(n, [a = node.float_attr("alpha", 0.2F)](float, float y) {
        return y > 0.0F && y < 1.0F ? a : 0.0F;
      });
    case Op::HardSwish:
      return by_element(n, [](float x, float) {
        return x <= -3.0F ? 0.0F : x >= 3.0F ? 1.0F : x / 3.0F + 0.5F;
      });
    case Op::Swish:
      return by_element(n, [a = node.float_attr("alpha", 1.0F)](float x, float) {
        const float s = sigmoid(a * x);
        return s + a * x * s * (1.0F - s);
      });
    case Op::Mish:
      return by_element(n, [](float x, float) { return mish_slope(x); });
    case Op::Gelu:
      if (node.string_attr("approximate", "none") == "tanh")
        return by_element(n, [](float x, float) { return gelu_tanh_slope(x); });
      return by_element(n, [](float x, float) { return gelu_slope(x); });
    case Op::Tanh:
      return by_element(n, [](float, float y) { return 1.0F - y * y; });
    default:
      return no_rule(node, "a function with a rule", ir::to_string(node.op()));
  }
}

}  // namespace

Result<Backward> unary_rule(const RuleCase& c) {
  const int64_t n = c.elements(0);
  switch (c.node.op()) {
    case Op::Softplus:
      return by_element(n, [](float x, float) { return sigmoid(x); });
    case Op::Softsign:
      return by_element(n, [](float x, float) {
        const float d = 1.0F + std::fabs(x);
        return 1.0F / (d * d);
      });
    case Op::Exp:
      return by_element(n, [](float, float y) { return y; });
    case Op::Log:
      return by_element(n, [](float x, float) { return 1.0F / x; });
    case Op::Sqrt:
      return by_element(n, [](float, float y) { return 0.5F / y; });
    case Op::Reciprocal:
      return by_element(n, [](float, float y) { return -y * y; });
    case Op::Abs:
      return by_element(n, [](float x, float) { return x > 0.0F ? 1.0F : x < 0.0F ? -1.0F : 0.0F; });
    case Op::Neg:
      return by_element(n, [](float, float) { return -1.0F; });
    case Op::Erf:
      return by_element(n, [](float x, float) { return 1.1283791670955126F * std::exp(-x * x); });
    case Op::Sin:
      return by_element(n, [](float x, float) { return std::cos(x); });
    case Op::Cos:
      return by_element(n, [](float x, float) { return -std::sin(x); });
    default:
      return activation(c);
  }
}

}  // namespace narrow::quant::gradient
