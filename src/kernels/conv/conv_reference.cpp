#include <algorithm>
#include <cmath>

#include "kernels/byte_function_fit.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/conv_clamp.h"
#include "kernels/lanes/element.h"
#include "kernels/requantize.h"

namespace narrow::kernels {
namespace {

/// Calls f(src index, weight index) for every tap inside the input, over kh, kw, then channels.
template <class F>
void for_each_tap(const ConvShape& s, int64_t n, int64_t y, int64_t x, int64_t o, F&& f) {
  const int64_t group_c = s.c / s.groups, first = o / (s.oc / s.groups) * group_c;
  for (int64_t i = 0; i < s.kh; ++i)
    for (int64_t j = 0; j < s.kw; ++j) {
      const int64_t sy = y * s.stride_h - s.pad_top + i * s.dilation_h,
                    sx = x * s.stride_w - s.pad_left + j * s.dilation_w;
      if (sy < 0 || sy >= s.h || sx < 0 || sx >= s.w) continue;
      for (int64_t c = 0; c < group_c; ++c)
        f(((n * s.h + sy) * s.w + sx) * s.src_pixel() + first + c, ((o * group_c + c) * s.kh + i) * s.kw + j);
    }
}

/// The bounds a clamp-like activation sets on the stored integer.
void clamp_bounds(const ConvSpec& spec, int32_t& low, int32_t& high) {
  low = spec.dst == DType::u8 ? 0 : -128;
  high = spec.dst == DType::u8 ? 255 : 127;
  const auto q = [&](float v) {
    return requantize_bound(v, spec.dst_quant.scale, spec.dst_quant.zero_point);
  };
  if (spec.activation.kind == Act::relu) low = std::max(low, spec.dst_quant.zero_point);
  if (spec.activation.kind == Act::clip)
    low = std::clamp(q(spec.activation.alpha), low, high),
    high = std::clamp(q(spec.activation.beta), low, high);
}

}  // namespace

void conv_reference(const ConvSpec& spec, const ConvWeights& weights, const ConvBuffers& buffers,
                    bool exact) {
  const ConvShape& s = spec.shape;
  const bool integer = is_int8(spec.src);
  int32_t low = 0, high = 0;
  if (is_int8(spec.dst)) clamp_bounds(spec, low, high);
  for (int64_t i = 0; i < s.n * s.oh * s.ow * s.oc; ++i) {
    const int64_t o = i % s.oc, x = i / s.oc % s.ow, y = i / s.oc / s.ow % s.oh, n = i / s.oc / s.ow / s.oh;
    const int64_t d = i / s.oc * s.dst_pixel() + o;
    float r = 0, scale = 1;
    int32_t acc = 0;
    if (integer) {
      acc = spec.bias ? static_cast<const int32_t*>(weights.bias)[o] : 0;
      for_each_tap(s, n, y, x, o, [&](int64_t at, int64_t w) {
        acc += (load_integer(spec.src, buffers.src, at) - spec.src_quant.zero_point) *
               static_cast<const int8_t*>(weights.weights)[w];
      });
      scale = spec.weight_scale[spec.weight_scale.size() == 1 ? 0 : static_cast<size_t>(o)];
      const bool added = is_int8(spec.residual);
      if (is_one_factor(spec)) {
        const double out_scale = spec.dst_scale(o);
        r = static_cast<float>(acc) *
            requantize_factor(static_cast<double>(spec.src_quant.scale) * scale / out_scale);
        if (added)
          r = std::fma(static_cast<float>(load_integer(spec.residual, buffers.residual, d) -
                                          spec.residual_quant.zero_point),
                       static_cast<float>(spec.residual_quant.scale / out_scale), r);
        if (spec.function != nullptr)
          store_integer(
              spec.dst, buffers.dst, d,
              byte_at(*spec.function, round_and_clamp(r, 0, -32768, 32767)) + low_of(spec.dst) + 128);
        else
          store_integer(spec.dst, buffers.dst, d, round_and_clamp(r, spec.dst_quant.zero_point, low, high));
        continue;
      }
      r = static_cast<float>(acc) * (spec.src_quant.scale * scale);
    } else {
      double wide = 0;
      for_each_tap(s, n, y, x, o, [&](int64_t at, int64_t w) {
        const float product_a = load_real({spec.src, {}}, buffers.src, at),
                    product_b = load_real({spec.weights, {}}, weights.weights, w);
        wide += static_cast<double>(product_a) * product_b;
        r += product_a * product_b;
      });
      if (exact) r = static_cast<float>(wide);
      if (spec.bias) r += static_cast<const float*>(weights.bias)[o];
    }
    if (is_int8(spec.residual))
      r = std::fma(static_cast<float>(load_integer(spec.residual, buffers.residual, d) -
                                      spec.residual_quant.zero_point),
                   spec.residual_quant.scale, r);
    else if (spec.residual != DType::undefined)
      r += load_real({spec.residual, {}}, buffers.residual, d);
    r = apply(spec.activation, r);
    if (is_int8(spec.dst))
      store_integer(spec.dst, buffers.dst, d,
                    requantize_real(r, spec.dst_quant.scale, spec.dst_quant.zero_point, low, high));
    else
      store_real({spec.dst, {}}, buffers.dst, d, r);
  }
}

}  // namespace narrow::kernels
