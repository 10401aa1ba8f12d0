#include <algorithm>
#include <limits>

#include "kernels/lanes/element.h"
#include "kernels/pool/pool.h"

namespace narrow::kernels {
namespace {

struct Span {
  int64_t first, begin, end,
      padded;  // coordinate of tap 0; taps inside the image; taps inside image and padding
};

Span span_of(int64_t out, int64_t stride, int64_t pad, int64_t pad_after, int64_t dilation, int64_t k,
             int64_t extent) {
  Span s{out * stride - pad, k, 0, 0};
  for (int64_t i = 0; i < k; ++i) {
    const int64_t at = s.first + i * dilation;
    if (at >= 0 && at < extent) s.begin = std::min(s.begin, i), s.end = i + 1;
    if (at < extent + pad_after) ++s.padded;
  }
  return s;
}

float lowest_of(DType type) {
  return is_int8(type) ? static_cast<float>(low_of(type)) : -std::numeric_limits<float>::infinity();
}

}  // namespace

void pool_reference(const PoolSpec& spec, const void* src, void* dst) {
  const PoolShape& s = spec.shape;
  const bool integers = is_int8(spec.src.type), bytes_out = is_int8(spec.dst.type);
  const Format stored{spec.src.type, {1, 0}};  // values of src in stored units
  for (int64_t d = 0; d < s.n * s.oh * s.ow * s.c; ++d) {
    const int64_t c = d % s.c, x = d / s.c % s.ow, y = d / s.c / s.ow % s.oh, n = d / s.c / s.ow / s.oh;
    const Span v = span_of(y, s.stride_h, s.pad_top, s.pad_bottom, s.dilation_h, s.kh, s.h);
    const Span h = span_of(x, s.stride_w, s.pad_left, s.pad_right, s.dilation_w, s.kw, s.w);
    float best = lowest_of(spec.src.type), sum = 0;
    int32_t acc = 0;
    for (int64_t i = v.begin; i < v.end; ++i) {
      float row = 0;
      for (int64_t j = h.begin; j < h.end; ++j) {
        const int64_t at =
            ((n * s.h + v.first + i * s.dilation_h) * s.w + h.first + j * s.dilation_w) * s.c + c;
        const float value = load_real(stored, src, at);
        best = value > best ? value : best;
        row += value;
        if (integers) acc += load_integer(spec.src.type, src, at) - spec.src.quant.zero_point;
      }
      sum += row;
    }
    if (spec.kind == PoolKind::max) {
      const bool same =
          !integers || (spec.src.type == spec.dst.type && spec.src.quant.scale == spec.dst.quant.scale &&
                        spec.src.quant.zero_point == spec.dst.quant.zero_point);
      if (integers && same)
        store_integer(spec.dst.type, dst, d, static_cast<int32_t>(best));
      else if (integers)
        store_real(spec.dst, dst, d,
                   (best - static_cast<float>(spec.src.quant.zero_point)) * spec.src.quant.scale);
      else
        store_real(spec.dst, dst, d, best);
      continue;
    }
    const int64_t inside = std::max<int64_t>(0, v.end - v.begin) * std::max<int64_t>(0, h.end - h.begin);
    const int64_t divisor = spec.count_include_pad ? v.padded * h.padded : inside;
    if (divisor == 0 || inside == 0) {
      store_real(spec.dst, dst, d, 0);
    } else if (!integers) {
      store_real(spec.dst, dst, d, sum / static_cast<float>(divisor));
    } else {
      const double scale = static_cast<double>(spec.src.quant.scale) / static_cast<double>(divisor);
      if (bytes_out)
        store_integer(spec.dst.type, dst, d,
                      requantize(acc, static_cast<float>(scale / spec.dst.quant.scale),
                                 spec.dst.quant.zero_point, low_of(spec.dst.type), high_of(spec.dst.type)));
      else
        store_real(spec.dst, dst, d, static_cast<float>(acc) * static_cast<float>(scale));
    }
  }
}

}  // namespace narrow::kernels
