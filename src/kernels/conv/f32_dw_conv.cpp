// dwconv_f32_*: depthwise convolutions, vectors over channels. Windows that reach over the border visit only
// the taps inside, so there is no padded copy.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/aligned.h"
#include "kernels/conv/f32_conv.h"
#include "kernels/conv/f32_dw.h"
#include "kernels/conv/f32_weights.h"

namespace narrow::kernels {
namespace {

struct F32DwWeights final : PackedWeights {
  int64_t stride = 0;     // channels rounded up to whole vectors
  AlignedBuffer weights;  // [kh][kw][stride]
  AlignedBuffer bias;     // [stride]
  int64_t bytes() const override { return weights.bytes() + bias.bytes(); }
};

struct Range {
  int64_t begin, end;
};

/// The taps that lie inside [0, size) when the window starts at `start`.
Range live_taps(int64_t start, int64_t taps, int64_t dilation, int64_t size) {
  const int64_t begin = start >= 0 ? 0 : std::min(taps, div_up(-start, dilation));
  const int64_t end = start >= size ? begin : std::clamp(div_up(size - start, dilation), begin, taps);
  return {begin, end};
}

class F32Depthwise final : public ConvKernel {
 public:
  F32Depthwise(const ConvSpec& spec, std::shared_ptr<const F32DwWeights> weights,
               const F32StripKernels& kernels)
      : spec_(spec), weights_(std::move(weights)), kernels_(kernels), epilogue_(f32_epilogue(spec)) {
    const ConvShape& s = spec.shape;
    // Columns whose windows lie inside: x * stride >= pad and x * stride - pad + reach < w.
    const int64_t reach = (s.kw - 1) * s.dilation_w;
    inside_.begin = std::min(s.ow, div_up(s.pad_left, s.stride_w));
    inside_.end = s.w + s.pad_left <= reach
                      ? inside_.begin
                      : std::clamp((s.w + s.pad_left - reach - 1) / s.stride_w + 1, inside_.begin, s.ow);
  }

  int64_t scratch_bytes() const override { return 0; }

  void run(const ConvBuffers& buffers, ThreadPool& pool) const override {
    const ConvShape& s = spec_.shape;
    constexpr int64_t kTaskMacs = 150'000;  // about 10 us
    const int64_t grain = std::max<int64_t>(1, kTaskMacs / (s.ow * s.oc * s.kh * s.kw));
    parallel_for(pool, s.n * s.oh, grain, [&](int64_t first, int64_t end) {
      for (int64_t line = first; line < end; ++line) run_line(buffers, line);
    });
  }

 private:
  void run_line(const ConvBuffers& buffers, int64_t line) const {
    for (int64_t x = 0; x < inside_.begin; ++x) run_strip(buffers, line, x, 1);
    const int64_t width = inside_.end - inside_.begin, strips = div_up(width, kernels_.max_pixels);
    for (int64_t i = 0; i < strips; ++i) {
      const int64_t x = inside_.begin + width * i / strips, end = inside_.begin + width * (i + 1) / strips;
      run_strip(buffers, line, x, end - x);
    }
    for (int64_t x = inside_.end; x < spec_.shape.ow; ++x) run_strip(buffers, line, x, 1);
  }

  void run_strip(const ConvBuffers& buffers, int64_t line, int64_t x, int64_t pixels) const;
  const F32StripKernel* kernels_for(const F32Strip& strip) const;

  ConvSpec spec_;
  std::shared_ptr<const F32DwWeights> weights_;
  const F32StripKernels& kernels_;
  F32Epilogue epilogue_;
  Range inside_{};
};

void F32Depthwise::run_strip(const ConvBuffers& buffers, int64_t line, int64_t x, int64_t pixels) const {
  const ConvShape& s = spec_.shape;
  const int64_t n = line / s.oh, y = line % s.oh;
  const int64_t sy = y * s.stride_h - s.pad_top, sx = x * s.stride_w - s.pad_left;
  const Range rows = live_taps(sy, s.kh, s.dilation_h, s.h), columns = live_taps(sx, s.kw, s.dilation_w, s.w);
  F32Strip t{};
  t.taps_h = rows.end - rows.begin, t.taps_w = columns.end - columns.begin, t.channels = s.c;
  const int64_t src_pixel = s.src_pixel() * 4;
  t.pixel_stride = s.stride_w * src_pixel, t.tap_stride = s.dilation_w * src_pixel;
  t.tap_line_stride = s.dilation_h * s.w * src_pixel;
  t.weight_tap = weights_->stride, t.weight_line = s.kw * weights_->stride;
  t.src = static_cast<const char*>(buffers.src);
  t.weights = weights_->weights.as<float>();
  if (t.taps_h > 0 && t.taps_w > 0) {
    t.src +=
        ((n * s.h + sy + rows.begin * s.dilation_h) * s.w + sx + columns.begin * s.dilation_w) * src_pixel;
    t.weights += rows.begin * t.weight_line + columns.begin * t.weight_tap;
  }
  t.bias = weights_->bias.as<float>();
  t.ld = s.dst_pixel();
  const int64_t at = (line * s.ow + x) * t.ld;
  t.dst = static_cast<char*>(buffers.dst) + at * bytes_of(spec_.dst);
  t.residual = static_cast<const char*>(buffers.residual) + at * bytes_of(spec_.residual);
  t.epilogue = &epilogue_;
  kernels_for(t)[pixels - 1](t);
}

const F32StripKernel* F32Depthwise::kernels_for(const F32Strip& strip) const {
  const bool once = strip.pixel_stride == strip.tap_stride,
             twice = strip.pixel_stride == 2 * strip.tap_stride;
  if (strip.taps_w == 3 && (once || twice)) return kernels_.width3[once ? 0 : 1];
  if (strip.taps_w == 5 && (once || twice)) return kernels_.width5[once ? 0 : 1];
  return kernels_.any;
}

std::string unsupported(const ConvSpec& spec) {
  const ConvShape& s = spec.shape;
  if (!s.is_depthwise())
    return fmt::format("groups = {}, c = {}, oc = {}: wants one channel per group", s.groups, s.c, s.oc);
  if (spec.src != DType::f32) return fmt::format("src = {}: wants f32", to_string(spec.src));
  return unsupported_float_types(spec);
}

template <auto kKernels>
std::shared_ptr<const PackedWeights> pack(const ConvSpec& spec, const ConvWeights& weights) {
  const ConvShape& s = spec.shape;
  const int64_t taps = s.kh * s.kw;
  auto packed = std::make_shared<F32DwWeights>();
  packed->stride = round_up(s.c, kKernels().lanes);
  packed->weights = AlignedBuffer::zeroed(taps * packed->stride * 4);
  packed->bias = AlignedBuffer::zeroed(packed->stride * 4);
  for (int64_t c = 0; c < s.c; ++c) {
    for (int64_t t = 0; t < taps; ++t)
      packed->weights.as<float>()[t * packed->stride + c] =
          load_float(spec.weights, weights.weights, c * taps + t);
    if (spec.bias) packed->bias.as<float>()[c] = static_cast<const float*>(weights.bias)[c];
  }
  return packed;
}

template <auto kKernels>
std::unique_ptr<ConvKernel> create(const ConvSpec& spec, std::shared_ptr<const PackedWeights> packed,
                                   int /*threads*/) {
  return std::make_unique<F32Depthwise>(spec, std::static_pointer_cast<const F32DwWeights>(packed),
                                        kKernels());
}

}  // namespace

ConvCandidate dwconv_f32_avx512() {
  return {"dwconv_f32_avx512", Isa::avx512, unsupported, pack<f32_strip_kernels_avx512>,
          create<f32_strip_kernels_avx512>};
}
ConvCandidate dwconv_f32_avx2() {
  return {"dwconv_f32_avx2", Isa::avx2, unsupported, pack<f32_strip_kernels_avx2>,
          create<f32_strip_kernels_avx2>};
}

}  // namespace narrow::kernels
