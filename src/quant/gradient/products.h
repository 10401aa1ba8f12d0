// Convolutions whose weights change from call to call, and their gradients. A matrix product is the 1x1
// convolution over a row of pixels. Images lie channels last, weights as [oc, c / groups, kh, kw].
#pragma once

#include <vector>

#include "base/aligned.h"
#include "base/result.h"
#include "kernels/conv/conv.h"

namespace narrow::quant::gradient {

/// dst[j * dst_pitch + i] = src[i * columns + j].
void turn_matrix(const float* src, int64_t rows, int64_t columns, float* dst, int64_t dst_pitch, Isa isa,
                 ThreadPool& pool);

/// y = act(conv(x, w) + bias) by the best FP32 kernel of kernels/conv, which packs w in every call. What it
/// works in is kept from call to call.
class FreshConv {
 public:
  FreshConv(const kernels::ConvShape& shape, bool bias, const kernels::Activation& activation, Isa isa,
            int threads);
  void run(const float* x, const float* w, const float* bias, float* y, ThreadPool& pool);

 private:
  kernels::ConvSpec spec_;
  const kernels::ConvCandidate* candidate_;
  AlignedBuffer scratch_;
  int threads_;
};

/// dx = conv(dy with stride - 1 zeros between its pixels, w turned around): the gradient of a convolution's
/// input.
class InputGradient {
 public:
  /// Empty when there is a way; otherwise why not.
  static std::string unsupported(const kernels::ConvShape& forward);
  InputGradient(const kernels::ConvShape& forward, Isa isa, int threads);
  void run(const float* dy, const float* w, float* dx, ThreadPool& pool);

 private:
  bool at_once() const;
  const float* turn(const float* w, ThreadPool& pool);
  void spread(const float* src, float* dst, int64_t height, int64_t width, int64_t channels,
              ThreadPool& pool) const;

  kernels::ConvShape forward_, shape_;
  Isa isa_;
  FreshConv conv_;
  AlignedBuffer turned_, spread_;
};

/// dw[o, c, i, j] = sum over pixels of dy[p, o] x[p * stride + tap (i, j), c]. Pixels are summed in parts
/// whose number depends on the shapes only, so that results do not depend on the number of threads.
class WeightGradient {
 public:
  WeightGradient(const kernels::ConvShape& forward, Isa isa);
  void run(const float* x, const float* dy, float* dw, ThreadPool& pool);

 private:
  /// Part of a row of the window that lies together in x: columns of the panel of patches.
  struct Segment {
    int64_t ky, kx, channel, length, column;
  };
  struct Range {
    int64_t begin, end;
  };
  void run_depthwise(const float* x, const float* dy, float* dw, ThreadPool& pool);
  void depthwise_row(const float* x, const float* dy, int64_t row, float* sums) const;
  void run_dense(const float* x, const float* dy, float* dw, ThreadPool& pool);
  void turn(const float* dy, ThreadPool& pool);
  void add_products(const float* x, int64_t task, float* panel, float* tile);
  void pack(const float* x, int64_t group, const std::vector<Segment>& segments, Range pixels,
            float* panel) const;
  Range part(int64_t count, int64_t i) const { return {count * i / parts_, count * (i + 1) / parts_}; }

  kernels::ConvShape shape_;
  Isa isa_;
  int64_t pixels_, group_c_, group_oc_, taps_, panels_, parts_, pitch_ = 0;
  std::vector<std::vector<Segment>> segments_;  // by panel
  AlignedBuffer turned_;                        // dy as [oc][pixels]
  AlignedBuffer sums_;
};

}  // namespace narrow::quant::gradient
