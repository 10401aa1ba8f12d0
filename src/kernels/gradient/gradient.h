// What learning needs beside the kernels of inference: gradients of depthwise weights and of bounded
// activations, and one step of learned rounding. Each on the calling thread.
#pragma once

#include <cstdint>

#include "base/cpu.h"

namespace narrow::kernels {

/// sums[c] += sum_i x[i * x_stride + c] * y[i * y_stride + c]   for i < n in order, c < channels.
struct ColumnProducts {
  const float* x;
  int64_t x_stride;
  const float* y;
  int64_t y_stride;
  int64_t n, channels;
  float* sums;
};
void column_products_plain(const ColumnProducts& p);
void column_products_avx2(const ColumnProducts& p);
void column_products_avx512(const ColumnProducts& p);
void column_products(const ColumnProducts& p, Isa isa);

/// dx[i] = low <= x[i] <= high ? dy[i] : 0. dx may be dy.
struct BoundedGradient {
  const float* x;
  const float* dy;
  float* dx;
  int64_t n;
  float low, high;
};
void bounded_gradient_plain(const BoundedGradient& g);
void bounded_gradient_avx2(const BoundedGradient& g);
void bounded_gradient_avx512(const BoundedGradient& g);
void bounded_gradient(const BoundedGradient& g, Isa isa);

/// sum of weight[i] * (a[i] - b[i])^2, and its gradient  d[i] = factor * weight[i] * (a[i] - b[i]).
/// weight null: 1. d null: not wanted. The sum runs in double over sums of 16 lanes.
struct SquaredError {
  const float* a;
  const float* b;
  const float* weight;
  float* d;
  int64_t n;
  float factor;
};
double squared_error_plain(const SquaredError& e);
double squared_error_avx2(const SquaredError& e);
double squared_error_avx512(const SquaredError& e);
double squared_error(const SquaredError& e, Isa isa);

/// One step of AdaRound (Nagel et al., arXiv:2004.10568, section 3.2) for n weights
///   w = scale * (code + h),   h = clamp(1.2 sigmoid(v) - 0.1, 0, 1)
/// by Adam (Kingma & Ba, arXiv:1412.6980) on  L(w) + pressure * sum (1 - |2 h - 1|^sharpness):
///   g = (dL/dw * scale - pressure * 2 sharpness sign(2 h - 1) |2 h - 1|^(sharpness - 1)) dh/dv
///   mean = 0.9 mean + 0.1 g;   square = 0.999 square + 0.001 g^2
///   v -= rate * mean / (sqrt(square * square_scale) + 1e-8)
/// `rate` holds the bias correction 1 / (1 - 0.9^t) of the mean, `square_scale` is 1 / (1 - 0.999^t). A rate
/// of 0 only computes w.
struct RoundingStep {
  const float* code;   // the lower of the two codes, less the zero point
  const float* scale;  // of every weight
  const float* gradient;
  float *v, *mean, *square;
  float* weights;  // written, from the new v
  int64_t n;
  float rate, square_scale;
  float pressure;
  int sharpness;  // 2 ..
};
void rounding_step_plain(const RoundingStep& s);
void rounding_step_avx2(const RoundingStep& s);
void rounding_step_avx512(const RoundingStep& s);
void rounding_step(const RoundingStep& s, Isa isa);

/// h(v).
float rounding_share(float v);

}  // namespace narrow::kernels
