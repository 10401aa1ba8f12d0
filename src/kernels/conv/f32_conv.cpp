// conv_f32_*, conv_bf16_*, conv_f16_*: dense float convolutions as implicit matrix products, FP32 arithmetic.
#include "kernels/conv/f32_conv.h"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "kernels/conv/f32_geometry.h"
#include "kernels/conv/f32_tile.h"
#include "kernels/conv/f32_weights.h"

namespace narrow::kernels {
namespace {

class F32Conv final : public ConvKernel {
 public:
  F32Conv(const ConvSpec& spec, std::shared_ptr<const F32Weights> weights, const F32Kernels& kernels,
          int threads)
      : spec_(spec),
        weights_(std::move(weights)),
        kernels_(kernels),
        geometry_(f32_geometry(spec, kernels.max_rows)),
        tasks_(f32_tasks(spec.shape, geometry_, panels(), 2 * kernels.lanes, threads)),
        epilogue_(f32_epilogue(spec)) {}

  int64_t scratch_bytes() const override { return geometry_.copied ? geometry_.image_bytes(spec_.shape) : 0; }

  void run(const ConvBuffers& buffers, ThreadPool& pool) const override {
    if (geometry_.copied) copy_image(buffers, pool);
    pool.run(tasks_.count(), [&](int64_t task) {
      const int64_t block = task / tasks_.panel_blocks, part = task % tasks_.panel_blocks;
      const int64_t first_tile = geometry_.tiles * block / tasks_.tile_blocks;
      const int64_t end_tile = geometry_.tiles * (block + 1) / tasks_.tile_blocks;
      const int64_t end_panel = panels() * (part + 1) / tasks_.panel_blocks;
      for (int64_t i = panels() * part / tasks_.panel_blocks; i < end_panel; ++i)
        run_panel(buffers, i, first_tile, end_tile);
    });
  }

 private:
  int64_t panels() const { return weights_->panels_per_group * spec_.shape.groups; }

  void copy_image(const ConvBuffers& buffers, ThreadPool& pool) const;
  void copy_line(const ConvBuffers& buffers, int64_t line) const;
  void run_panel(const ConvBuffers& buffers, int64_t index, int64_t first_tile, int64_t end_tile) const;

  ConvSpec spec_;
  std::shared_ptr<const F32Weights> weights_;
  const F32Kernels& kernels_;
  F32Geometry geometry_;
  F32Tasks tasks_;
  F32Epilogue epilogue_;
};

void F32Conv::copy_image(const ConvBuffers& buffers, ThreadPool& pool) const {
  const int64_t lines = spec_.shape.n * geometry_.image_h;
  const int64_t line_bytes = geometry_.image_w * geometry_.image_c * 4, grain = div_up(64 << 10, line_bytes);
  parallel_for(pool, lines, grain, [&](int64_t first, int64_t end) {
    for (int64_t line = first; line < end; ++line) copy_line(buffers, line);
  });
}

/// One line of the image: zeros outside src, floats of src inside.
void F32Conv::copy_line(const ConvBuffers& buffers, int64_t line) const {
  const ConvShape& s = spec_.shape;
  const F32Geometry& g = geometry_;
  const int64_t n = line / g.image_h, y = line % g.image_h, step_h = g.gathered ? s.stride_h : 1;
  const int64_t step_w = g.gathered ? s.stride_w : 1, size = bytes_of(spec_.src), sy = y * step_h - s.pad_top;
  float* out = static_cast<float*>(buffers.scratch) + line * g.image_w * g.image_c;
  const auto clear = [&](int64_t first, int64_t end) {
    for (int64_t i = first * g.image_c; i < end * g.image_c; ++i) out[i] = 0;
  };
  // Image columns [inside, outside) lie in src.
  const int64_t inside = std::min(g.image_w, div_up(s.pad_left, step_w));
  const int64_t outside =
      sy < 0 || sy >= s.h ? inside : std::clamp(div_up(s.w + s.pad_left, step_w), inside, g.image_w);
  clear(0, inside);
  clear(outside, g.image_w);
  if (inside == outside) return;
  const char* src = static_cast<const char*>(buffers.src);
  src += ((n * s.h + sy) * s.w + inside * step_w - s.pad_left) * s.c * size;
  if (step_w == 1 && g.image_c == s.c)
    return kernels_.to_f32(spec_.src, src, out + inside * s.c, (outside - inside) * s.c);
  for (int64_t x = inside; x < outside; ++x, src += step_w * s.c * size)
    kernels_.to_f32(spec_.src, src, out + x * g.image_c, s.c);
}

void F32Conv::run_panel(const ConvBuffers& buffers, int64_t index, int64_t first_tile,
                        int64_t end_tile) const {
  const ConvShape& s = spec_.shape;
  const int64_t group = index / weights_->panels_per_group, panel = index % weights_->panels_per_group;
  const int64_t group_oc = s.oc / s.groups, columns = 2 * kernels_.lanes;
  const auto* image = static_cast<const char*>(geometry_.copied ? buffers.scratch : buffers.src);
  image += group * (s.c / s.groups) * 4;
  const int64_t channel = group * group_oc + panel * columns;
  const int64_t dst_size = bytes_of(spec_.dst), residual_size = bytes_of(spec_.residual);
  F32Tile tile{};
  tile.pixel_stride = geometry_.pixel_stride;
  tile.span_offset = geometry_.span_offset.data();
  tile.spans = static_cast<int64_t>(geometry_.span_offset.size()), tile.span_length = geometry_.span_length;
  tile.b = weights_->panel(group, panel), tile.bias = weights_->panel_bias(group, panel);
  tile.n = std::min(columns, group_oc - panel * columns);
  tile.ld = s.oc, tile.epilogue = &epilogue_;
  const F32TileKernel* kernels = kernels_.tiles[tile.n <= kernels_.lanes ? 0 : 1];
  for (int64_t t = first_tile; t < end_tile; ++t) {
    const F32TilePlace place = f32_tile_place(geometry_, t);
    for (int run = 0; run < 2; ++run) {
      const int64_t at = place.pixel[run] * s.oc + channel;
      tile.a[run] = image + place.source[run];
      tile.dst[run] = static_cast<char*>(buffers.dst) + at * dst_size;
      tile.residual[run] = static_cast<const char*>(buffers.residual) + at * residual_size;
    }
    kernels[place.rows - 1](tile);
  }
}

template <DType kSrc>
std::string unsupported(const ConvSpec& spec) {
  if (spec.src != kSrc) return fmt::format("src = {}: wants {}", to_string(spec.src), to_string(kSrc));
  return unsupported_float_types(spec);
}

template <auto kKernels>
std::shared_ptr<const PackedWeights> pack(const ConvSpec& spec, const ConvWeights& weights) {
  return pack_f32_weights(spec, weights, kKernels().lanes);
}

template <auto kKernels>
std::unique_ptr<ConvKernel> create(const ConvSpec& spec, std::shared_ptr<const PackedWeights> packed,
                                   int threads) {
  return std::make_unique<F32Conv>(spec, std::static_pointer_cast<const F32Weights>(packed), kKernels(),
                                   threads);
}

}  // namespace

std::string unsupported_float_types(const ConvSpec& spec) {
  const auto storage = [](DType t) { return t == DType::f32 || t == DType::bf16 || t == DType::f16; };
  if (!storage(spec.weights))
    return fmt::format("weights = {}: wants f32, bf16 or f16", to_string(spec.weights));
  if (!storage(spec.dst)) return fmt::format("dst = {}: wants f32, bf16 or f16", to_string(spec.dst));
  if (spec.residual != DType::undefined && !storage(spec.residual))
    return fmt::format("residual = {}: wants f32, bf16 or f16", to_string(spec.residual));
  return {};
}

F32Epilogue f32_epilogue(const ConvSpec& spec) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  F32Epilogue e{spec.activation, spec.dst, spec.residual};
  const bool residual_f32 = spec.residual == DType::undefined || spec.residual == DType::f32;
  e.plain = spec.activation.is_clamp() && spec.dst == DType::f32 && residual_f32;
  e.low = spec.activation.kind == Act::relu
              ? 0
              : (spec.activation.kind == Act::clip ? spec.activation.alpha : -kInf);
  e.high = spec.activation.kind == Act::clip ? spec.activation.beta : kInf;
  return e;
}

ConvCandidate conv_f32_avx512() {
  return {"conv_f32_avx512", Isa::avx512, unsupported<DType::f32>, pack<f32_kernels_avx512>,
          create<f32_kernels_avx512>};
}
ConvCandidate conv_bf16_avx512() {
  return {"conv_bf16_avx512", Isa::avx512, unsupported<DType::bf16>, pack<f32_kernels_avx512>,
          create<f32_kernels_avx512>};
}
ConvCandidate conv_f16_avx512() {
  return {"conv_f16_avx512", Isa::avx512, unsupported<DType::f16>, pack<f32_kernels_avx512>,
          create<f32_kernels_avx512>};
}
ConvCandidate conv_f32_avx2() {
  return {"conv_f32_avx2", Isa::avx2, unsupported<DType::f32>, pack<f32_kernels_avx2>,
          create<f32_kernels_avx2>};
}
ConvCandidate conv_bf16_avx2() {
  return {"conv_bf16_avx2", Isa::avx2, unsupported<DType::bf16>, pack<f32_kernels_avx2>,
          create<f32_kernels_avx2>};
}
ConvCandidate conv_f16_avx2() {
  return {"conv_f16_avx2", Isa::avx2, unsupported<DType::f16>, pack<f32_kernels_avx2>,
          create<f32_kernels_avx2>};
}

}  // namespace narrow::kernels
