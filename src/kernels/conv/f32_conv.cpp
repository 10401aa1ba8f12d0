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

/// One panel of weights, the output channels it makes and the kernels for its width.
struct F32Panel {
  const F32TileKernel* kernels;
  const float *b, *bias;
  int64_t n, channel;
  int64_t source;  // bytes to the group's first channel
};

struct Range {
  int64_t begin, end;
};

Range part_of(int64_t count, int64_t i, int64_t parts) {
  return {count * i / parts, count * (i + 1) / parts};
}

class F32Conv final : public ConvKernel {
 public:
  F32Conv(const ConvSpec& spec, std::shared_ptr<const F32Weights> weights, const F32Kernels& kernels,
          int threads)
      : spec_(spec),
        weights_(std::move(weights)),
        kernels_(kernels),
        geometry_(f32_geometry(spec, kernels.max_rows)),
        tasks_(f32_tasks(spec.shape, geometry_, panels(), 2 * kernels.lanes, threads)),
        epilogue_(f32_epilogue(spec)),
        panels_(list_panels()),
        dst_size_(bytes_of(spec.dst)),
        residual_size_(bytes_of(spec.residual)),
        threads_(threads) {}

  int64_t scratch_bytes() const override { return geometry_.copied ? geometry_.image_bytes(spec_.shape) : 0; }

  void run(const ConvBuffers& buffers, ThreadPool& pool) const override {
    const ConvShape& s = spec_.shape;
    if (s.n * s.oh * s.ow * s.oc == 0) return;
    if (geometry_.copied) copy_image(buffers, pool);
    pool.run(tasks_.count(), [&](int64_t task) {
      const int64_t block = task / tasks_.panel_blocks, part = task % tasks_.panel_blocks;
      run_task(buffers, part_of(tiles(), block, tasks_.tile_blocks),
               part_of(panels(), part, tasks_.panel_blocks));
    });
  }

 private:
  int64_t panels() const { return weights_->panels_per_group * spec_.shape.groups; }

  int64_t tiles() const { return static_cast<int64_t>(geometry_.tiles.size()); }

  void copy_image(const ConvBuffers& buffers, ThreadPool& pool) const;
  void copy_line(const ConvBuffers& buffers, int64_t line) const;
  void run_task(const ConvBuffers& buffers, Range tiles, Range panels) const;
  void run_tile(const ConvBuffers& buffers, int64_t t, int64_t p, F32Tile& tile) const;
  const char* panel_after(int64_t p, Range panels) const;
  std::vector<F32Panel> list_panels() const;

  ConvSpec spec_;
  std::shared_ptr<const F32Weights> weights_;
  const F32Kernels& kernels_;
  F32Geometry geometry_;
  F32Tasks tasks_;
  F32Epilogue epilogue_;
  std::vector<F32Panel> panels_;
  int64_t dst_size_ = 0, residual_size_ = 0, threads_ = 1;
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
  src += ((n * s.h + sy) * s.w + inside * step_w - s.pad_left) * s.src_pixel() * size;
  if (step_w == 1 && g.image_c == s.c && s.src_pixel() == s.c)
    return kernels_.to_f32(spec_.src, src, out + inside * s.c, (outside - inside) * s.c);
  for (int64_t x = inside; x < outside; ++x, src += step_w * s.src_pixel() * size)
    kernels_.to_f32(spec_.src, src, out + x * g.image_c, s.c);
}

std::vector<F32Panel> F32Conv::list_panels() const {
  const ConvShape& s = spec_.shape;
  const int64_t group_oc = s.oc / s.groups, columns = 2 * kernels_.lanes;
  std::vector<F32Panel> list;
  for (int64_t group = 0; group < s.groups; ++group)
    for (int64_t i = 0; i < weights_->panels_per_group; ++i) {
      const int64_t n = std::min(columns, group_oc - i * columns);
      list.push_back({kernels_.tiles[n <= kernels_.lanes ? 0 : 1], weights_->panel(group, i),
                      weights_->panel_bias(group, i), n, group * group_oc + i * columns,
                      group * (s.c / s.groups) * 4});
    }
  return list;
}

void F32Conv::run_task(const ConvBuffers& buffers, Range tiles, Range panels) const {
  F32Tile tile{};
  tile.pixel_stride = geometry_.pixel_stride;
  tile.span_length = geometry_.span_length;
  tile.ld = spec_.shape.dst_pixel(), tile.epilogue = &epilogue_;
  // Small weights stay in L1 and L2 while whole rows of dst are written; large ones pass once per task.
  if (tasks_.by_tile) {
    for (int64_t t = tiles.begin; t < tiles.end; ++t)
      for (int64_t p = panels.begin; p < panels.end; ++p) run_tile(buffers, t, p, tile);
  } else {
    for (int64_t p = panels.begin; p < panels.end; ++p) {
      const char* next = panel_after(p, panels);
      for (int64_t t = tiles.begin; t < tiles.end; ++t) {
        const int64_t quarter = t - tiles.begin;
        tile.ahead =
            quarter < 4 && next != nullptr ? next + quarter * weights_->k * kernels_.lanes * 2 : nullptr;
        run_tile(buffers, t, p, tile);
      }
    }
  }
}

/// The weights this thread will want next: the task's next panel, or after the last the first of the task
/// that comes `threads` later. Wrong guesses cost a little bandwidth. Without this, weights that no longer
/// fit the cache from the last run stall the first tile of each panel: 512 x 512 3x3 on 7x7 took 2200 instead
/// of 1300 us.
const char* F32Conv::panel_after(int64_t p, Range panels) const {
  const int64_t next = p + 1 < panels.end ? p + 1 : panels.begin + (panels.end - panels.begin) * threads_;
  constexpr int64_t kL2Bytes = 768 << 10;
  if (next >= this->panels() || weights_->k * kernels_.lanes * 8 > kL2Bytes) return nullptr;
  return reinterpret_cast<const char*>(panels_[static_cast<size_t>(next)].b);
}

inline void F32Conv::run_tile(const ConvBuffers& buffers, int64_t t, int64_t p, F32Tile& tile) const {
  const F32TilePlace& place = geometry_.tiles[static_cast<size_t>(t)];
  const F32Panel& panel = panels_[static_cast<size_t>(p)];
  const std::vector<F32Span>& spans = geometry_.live[place.live];
  tile.span = spans.data(), tile.spans = static_cast<int64_t>(spans.size());
  tile.b = panel.b, tile.bias = panel.bias, tile.n = panel.n;
  const auto* image =
      static_cast<const char*>(geometry_.copied ? buffers.scratch : buffers.src) + panel.source;
  for (int run = 0; run < 2; ++run) {
    const int64_t at = place.pixel[run] * tile.ld + panel.channel;
    tile.a[run] = image + place.source[run];
    tile.dst[run] = static_cast<char*>(buffers.dst) + at * dst_size_;
    tile.residual[run] = static_cast<const char*>(buffers.residual) + at * residual_size_;
  }
  panel.kernels[place.rows - 1](tile);
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
ConvStorage storage() {
  return {[](const ConvSpec& spec) { return std::vector{f32_stored_size(spec, kKernels().lanes)}; },
          [](const ConvSpec& spec, std::span<const AlignedBuffer> parts, std::byte* weights) {
            f32_unpack(spec, kKernels().lanes, parts[0], reinterpret_cast<float*>(weights));
          },
          f32_not_stored};
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
  return {"conv_f32_avx512",          Isa::avx512,
          unsupported<DType::f32>,    pack<f32_kernels_avx512>,
          create<f32_kernels_avx512>, storage<f32_kernels_avx512>()};
}
ConvCandidate conv_bf16_avx512() {
  return {"conv_bf16_avx512",         Isa::avx512,
          unsupported<DType::bf16>,   pack<f32_kernels_avx512>,
          create<f32_kernels_avx512>, storage<f32_kernels_avx512>()};
}
ConvCandidate conv_f16_avx512() {
  return {"conv_f16_avx512",          Isa::avx512,
          unsupported<DType::f16>,    pack<f32_kernels_avx512>,
          create<f32_kernels_avx512>, storage<f32_kernels_avx512>()};
}
ConvCandidate conv_f32_avx2() {
  return {"conv_f32_avx2",          Isa::avx2,
          unsupported<DType::f32>,  pack<f32_kernels_avx2>,
          create<f32_kernels_avx2>, storage<f32_kernels_avx2>()};
}
ConvCandidate conv_bf16_avx2() {
  return {"conv_bf16_avx2",         Isa::avx2,
          unsupported<DType::bf16>, pack<f32_kernels_avx2>,
          create<f32_kernels_avx2>, storage<f32_kernels_avx2>()};
}
ConvCandidate conv_f16_avx2() {
  return {"conv_f16_avx2",          Isa::avx2,
          unsupported<DType::f16>,  pack<f32_kernels_avx2>,
          create<f32_kernels_avx2>, storage<f32_kernels_avx2>()};
}

}  // namespace narrow::kernels
