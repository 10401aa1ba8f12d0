// conv_f32_plain: every float convolution on any processor. Sums run over the taps inside the input and then
// the channels, in float.
#include <fmt/format.h>

#include <utility>

#include "base/aligned.h"
#include "kernels/conv/f32_conv.h"
#include "kernels/conv/f32_weights.h"
#include "kernels/lanes/element.h"
#include "numerics/float_formats.h"

namespace narrow::kernels {
namespace {

struct PlainWeights final : PackedWeights {
  AlignedBuffer weights;  // [oc][kh][kw][c / groups]
  AlignedBuffer bias;     // [oc], zeros without bias
  int64_t bytes() const override { return weights.bytes() + bias.bytes(); }
};

class PlainConv final : public ConvKernel {
 public:
  PlainConv(const ConvSpec& spec, std::shared_ptr<const PlainWeights> weights)
      : spec_(spec), weights_(std::move(weights)) {}

  int64_t scratch_bytes() const override { return 0; }

  void run(const ConvBuffers& buffers, ThreadPool& pool) const override {
    const ConvShape& s = spec_.shape;
    pool.run(s.n * s.oh * s.ow, [&](int64_t pixel) {
      for (int64_t o = 0; o < s.oc; ++o) {
        const int64_t d = pixel * s.dst_pixel() + o;
        float r = sum(buffers.src, pixel, o) + weights_->bias.as<float>()[o];
        if (spec_.residual != DType::undefined) r += load_float(spec_.residual, buffers.residual, d);
        store_real({spec_.dst, {}}, buffers.dst, d, apply(spec_.activation, r));
      }
    });
  }

 private:
  float sum(const void* src, int64_t pixel, int64_t o) const {
    const ConvShape& s = spec_.shape;
    const int64_t group_c = s.c / s.groups, first = o / (s.oc / s.groups) * group_c;
    const int64_t x = pixel % s.ow * s.stride_w - s.pad_left,
                  y = pixel / s.ow % s.oh * s.stride_h - s.pad_top;
    const int64_t image = pixel / s.ow / s.oh * s.h;
    float r = 0;
    for (int64_t t = 0; t < s.kh * s.kw; ++t) {
      const int64_t sy = y + t / s.kw * s.dilation_h, sx = x + t % s.kw * s.dilation_w;
      if (sy < 0 || sy >= s.h || sx < 0 || sx >= s.w) continue;
      const int64_t at = ((image + sy) * s.w + sx) * s.src_pixel() + first;
      const float* w = weights_->weights.as<float>() + (o * s.kh * s.kw + t) * group_c;
      for (int64_t c = 0; c < group_c; ++c) r += load_float(spec_.src, src, at + c) * w[c];
    }
    return r;
  }

  ConvSpec spec_;
  std::shared_ptr<const PlainWeights> weights_;
};

std::string unsupported(const ConvSpec& spec) {
  if (spec.src != DType::f32 && spec.src != DType::bf16 && spec.src != DType::f16)
    return fmt::format("src = {}: wants f32, bf16 or f16", to_string(spec.src));
  return unsupported_float_types(spec);
}

std::shared_ptr<const PackedWeights> pack(const ConvSpec& spec, const ConvWeights& weights) {
  const ConvShape& s = spec.shape;
  const int64_t taps = s.kh * s.kw, group_c = s.c / s.groups;
  auto packed = std::make_shared<PlainWeights>();
  packed->weights = AlignedBuffer(s.oc * taps * group_c * 4);
  packed->bias = AlignedBuffer::zeroed(s.oc * 4);
  float* out = packed->weights.as<float>();
  for (int64_t o = 0; o < s.oc; ++o) {
    for (int64_t t = 0; t < taps; ++t)
      for (int64_t c = 0; c < group_c; ++c)
        *out++ = load_float(spec.weights, weights.weights, (o * group_c + c) * taps + t);
    if (spec.bias) packed->bias.as<float>()[o] = static_cast<const float*>(weights.bias)[o];
  }
  return packed;
}

std::unique_ptr<ConvKernel> create(const ConvSpec& spec, std::shared_ptr<const PackedWeights> packed,
                                   int /*threads*/) {
  return std::make_unique<PlainConv>(spec, std::static_pointer_cast<const PlainWeights>(packed));
}

}  // namespace

ConvCandidate conv_f32_plain() { return {"conv_f32_plain", Isa::plain, unsupported, pack, create}; }

}  // namespace narrow::kernels
