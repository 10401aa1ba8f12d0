// Max and average pooling, channels last:  dst[n,y,x,c] = reduce over kh, kw of src[n, y*sh - pt + i*dh, x*sw
// - pl + j*dw, c]
#pragma once

#include <cstdint>

#include "base/cpu.h"
#include "kernels/tensor_quant.h"
#include "parallel/thread_pool.h"

namespace narrow::kernels {

struct PoolShape {
  int64_t n = 1, h = 1, w = 1, c = 1;  // src [n,h,w,c]
  int64_t oh = 1, ow = 1;  // dst [n,oh,ow,c]; says itself how far the window goes (ceil or floor mode)
  int64_t kh = 1, kw = 1;
  int64_t stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;

  /// One window over the whole image.
  static PoolShape global(int64_t n, int64_t h, int64_t w, int64_t c) {
    PoolShape s;
    s.n = n, s.h = s.kh = h, s.w = s.kw = w, s.c = c;
    return s;
  }
};

enum class PoolKind : uint8_t { max, average };

/// Taps outside the image do not take part. Formats may differ between src and dst.
/// max      v > best ? v : best from the lowest value on, in stored units; then, when the formats differ,
/// store(real()). average  divisor d = taps inside the image, or, with count_include_pad, inside image and
/// padding.
///          floats: rows of taps are summed in order, then the row sums:   r = sum / float(d)
///          u8 s8:  acc = sum(q - zero_point) in int32;  to u8 s8: q = requantize(acc, float(double(s_in) / d
///          / s_out));
///                  to floats: r = float(acc) * float(double(s_in) / d)
///          d = 0 gives 0.
/// Integer results are equal on all ISAs, and so are float ones: sums run in the same order everywhere.
struct PoolSpec {
  PoolKind kind = PoolKind::max;
  PoolShape shape;
  Format src, dst;
  bool count_include_pad = false;
};

void pool_reference(const PoolSpec& spec, const void* src, void* dst);
void pool(const PoolSpec& spec, const void* src, void* dst, Isa isa, ThreadPool& threads);

}  // namespace narrow::kernels
