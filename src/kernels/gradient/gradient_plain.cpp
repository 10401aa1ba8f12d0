#include <algorithm>
#include <cmath>

#include "kernels/gradient/gradient.h"

namespace narrow::kernels {

void column_products_plain(const ColumnProducts& p) {
  for (int64_t i = 0; i < p.n; ++i)
    for (int64_t c = 0; c < p.channels; ++c) p.sums[c] += p.x[i * p.x_stride + c] * p.y[i * p.y_stride + c];
}

void bounded_gradient_plain(const BoundedGradient& g) {
  for (int64_t i = 0; i < g.n; ++i) g.dx[i] = g.x[i] >= g.low && g.x[i] <= g.high ? g.dy[i] : 0.0F;
}

double squared_error_plain(const SquaredError& e) {
  double sum = 0;
  for (int64_t i = 0; i < e.n; ++i) {
    const float difference = e.a[i] - e.b[i];
    const float weighted = e.weight != nullptr ? e.weight[i] * difference : difference;
    if (e.d != nullptr) e.d[i] = e.factor * weighted;
    sum += static_cast<double>(weighted) * static_cast<double>(difference);
  }
  return sum;
}

namespace {

struct Share {
  float value, slope;  // h and dh/dv
};

Share share_of(float v) {
  const float sigmoid = 1.0F / (1.0F + std::exp(-v));
  const float stretched = 1.2F * sigmoid - 0.1F;
  const bool inside = stretched > 0.0F && stretched < 1.0F;
  return {std::clamp(stretched, 0.0F, 1.0F), inside ? 1.2F * sigmoid * (1.0F - sigmoid) : 0.0F};
}

float whole_power(float x, int exponent) {
  float y = 1;
  for (; exponent > 0; exponent >>= 1, x *= x)
    if ((exponent & 1) != 0) y *= x;
  return y;
}

}  // namespace

float rounding_share(float v) { return share_of(v).value; }

void rounding_step_plain(const RoundingStep& s) {
  for (int64_t i = 0; i < s.n; ++i) {
    if (s.rate != 0) {
      const Share h = share_of(s.v[i]);
      const float t = 2.0F * h.value - 1.0F;
      const float pull = 2.0F * static_cast<float>(s.sharpness) * whole_power(std::fabs(t), s.sharpness - 1);
      const float g = (s.gradient[i] * s.scale[i] - s.pressure * std::copysign(pull, t)) * h.slope;
      s.mean[i] = 0.9F * s.mean[i] + 0.1F * g;
      s.square[i] = 0.999F * s.square[i] + 0.001F * g * g;
      s.v[i] -= s.rate * s.mean[i] / (std::sqrt(s.square[i] * s.square_scale) + 1e-8F);
    }
    s.weights[i] = s.scale[i] * (s.code[i] + rounding_share(s.v[i]));
  }
}

namespace {
template <class Spec, class Result>
Result by_isa(const Spec& spec, Isa isa, Result (*plain)(const Spec&), Result (*avx2)(const Spec&),
              Result (*avx512)(const Spec&)) {
  return (isa >= Isa::avx512 ? avx512 : isa >= Isa::avx2 ? avx2 : plain)(spec);
}
}  // namespace

void column_products(const ColumnProducts& p, Isa isa) {
  by_isa(p, isa, column_products_plain, column_products_avx2, column_products_avx512);
}
void bounded_gradient(const BoundedGradient& g, Isa isa) {
  by_isa(g, isa, bounded_gradient_plain, bounded_gradient_avx2, bounded_gradient_avx512);
}
double squared_error(const SquaredError& e, Isa isa) {
  return by_isa(e, isa, squared_error_plain, squared_error_avx2, squared_error_avx512);
}
void rounding_step(const RoundingStep& s, Isa isa) {
  by_isa(s, isa, rounding_step_plain, rounding_step_avx2, rounding_step_avx512);
}

}  // namespace narrow::kernels
