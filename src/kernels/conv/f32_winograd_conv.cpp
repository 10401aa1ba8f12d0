// conv_f32_winograd_*: 3x3 convolutions of stride 1 by F(2x2, 3x3), 2.25 times fewer multiplications.
//
// First all patches are transformed: V[16][patches][c] (with few channels tile by tile). Then, for a tile of
// patches and a panel of output channels at a time (14 x 32 in AVX-512, 6 x 16 in AVX2), 16 products V[i] x
// U[i] land on the stack (28 KB at most), and their 2x2 outputs leave through the epilogue. The transforms
// only add; the sums of up to 4 inputs and the products of 9/4 the size cost about one bit against the direct
// kernel (conv_test.cpp holds both to the same bound).
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "kernels/conv/f32_conv.h"
#include "kernels/conv/f32_geometry.h"
#include "kernels/conv/f32_weights.h"
#include "kernels/conv/f32_winograd.h"

namespace narrow::kernels {
namespace {

struct WinogradIsa {
  const char* name;
  Isa isa;
  int64_t columns, rows;  // of a tile: output channels, patches
  const F32Kernels& (*products)();
  void (*in)(const F32PatchIn& patch);
  void (*out)(const F32PatchOut& patch);
};

constexpr WinogradIsa kAvx512{
    "conv_f32_winograd_avx512", Isa::avx512, 32, 14, f32_kernels_avx512, f32_winograd_in_avx512,
    f32_winograd_out_avx512};
constexpr WinogradIsa kAvx2{
    "conv_f32_winograd_avx2", Isa::avx2, 16, 6, f32_kernels_avx2, f32_winograd_in_avx2,
    f32_winograd_out_avx2};

constexpr int64_t kMostColumns = 32, kMostRows = 14, kFusedChannels = 80;
// With fewer, reading 16/9 the weights eats the gain: 7x7 with 512 channels has 16 patches and gains a tenth.
constexpr int64_t kMinPatches = 40, kMinChannels = 32;

int64_t patches_h(const ConvShape& s) { return div_up(s.oh, 2); }
int64_t patches_w(const ConvShape& s) { return div_up(s.ow, 2); }
int64_t patch_count(const ConvShape& s) { return s.n * patches_h(s) * patches_w(s); }

struct WinogradWeights final : PackedWeights {
  int64_t panels = 0;
  AlignedBuffer u;      // [panel][16][c][columns], the last panel half as wide if that is enough
  AlignedBuffer bias;   // [panels * columns]
  AlignedBuffer zeros;  // [max(c, columns)]
  int64_t bytes() const override { return u.bytes() + bias.bytes() + zeros.bytes(); }
};

/// G g G' with G = [1 0 0; 1/2 1/2 1/2; 1/2 -1/2 1/2; 0 0 1], in double.
void transform_filter(const double (&g)[9], double (&u)[16]) {
  double half[4][3];
  for (int j = 0; j < 3; ++j) {
    const double a = g[j], b = g[3 + j], c = g[6 + j];
    half[0][j] = a, half[1][j] = (a + b + c) / 2, half[2][j] = (a - b + c) / 2, half[3][j] = c;
  }
  for (int i = 0; i < 4; ++i) {
    const double a = half[i][0], b = half[i][1], c = half[i][2];
    u[i * 4] = a, u[i * 4 + 1] = (a + b + c) / 2, u[i * 4 + 2] = (a - b + c) / 2, u[i * 4 + 3] = c;
  }
}

std::shared_ptr<const PackedWeights> pack(const ConvSpec& spec, const ConvWeights& weights, int64_t columns) {
  const ConvShape& s = spec.shape;
  auto packed = std::make_shared<WinogradWeights>();
  packed->panels = div_up(s.oc, columns);
  packed->u = AlignedBuffer::zeroed(packed->panels * 16 * s.c * columns * 4);
  packed->bias = AlignedBuffer::zeroed(packed->panels * columns * 4);
  packed->zeros = AlignedBuffer::zeroed(std::max(s.c, columns) * 4);
  for (int64_t o = 0; o < s.oc; ++o) {
    const int64_t panel = o / columns, width = s.oc - panel * columns <= columns / 2 ? columns / 2 : columns;
    float* out = packed->u.as<float>() + panel * 16 * s.c * columns + o % columns;
    for (int64_t c = 0; c < s.c; ++c) {
      double g[9], u[16];
      for (int64_t t = 0; t < 9; ++t) g[t] = load_float(spec.weights, weights.weights, (o * s.c + c) * 9 + t);
      transform_filter(g, u);
      for (int64_t i = 0; i < 16; ++i) out[(i * s.c + c) * width] = static_cast<float>(u[i]);
    }
    if (spec.bias) packed->bias.as<float>()[o] = static_cast<const float*>(weights.bias)[o];
  }
  return packed;
}

/// The 16 products as one matrix product, to be cut up like any other: patches x 16 c x oc.
ConvSpec product_of(const ConvShape& s) {
  ConvSpec spec;
  spec.shape.w = spec.shape.ow = patch_count(s);
  spec.shape.c = 16 * s.c, spec.shape.oc = s.oc;
  return spec;
}

class F32Winograd final : public ConvKernel {
 public:
  F32Winograd(const ConvSpec& spec, std::shared_ptr<const WinogradWeights> weights, const WinogradIsa& isa,
              int threads)
      : spec_(spec),
        weights_(std::move(weights)),
        isa_(isa),
        kernels_(isa.products()),
        geometry_(f32_geometry(product_of(spec.shape), isa.rows)),
        tasks_(f32_tasks(product_of(spec.shape).shape, geometry_, weights_->panels, isa.columns, threads)),
        epilogue_(f32_epilogue(spec)),
        threads_(threads) {
    constexpr int64_t kPage = 4096;
    row_ = round_up(spec.shape.c, 16);
    if (row_ * 4 % kPage == 0) row_ += 16;
    // The 16 planes start in different cache sets: a patch is written to all of them at once.
    plane_ = (round_up(patch_count(spec.shape) * row_ * 4, kPage) + 64) / 4;
  }

  int64_t scratch_bytes() const override { return fused() ? 0 : 16 * plane_ * 4; }

  void run(const ConvBuffers& buffers, ThreadPool& pool) const override {
    if (!fused()) {
      const int64_t patches = patch_count(spec_.shape), grain = div_up(128 << 10, 16 * row_ * 4);
      parallel_for(pool, patches, grain, [&](int64_t first, int64_t end) {
        transform(buffers, first, end - first, {static_cast<float*>(buffers.scratch) + first * row_, plane_});
      });
    }
    const auto tiles = static_cast<int64_t>(geometry_.tiles.size());
    pool.run(tasks_.count(), [&](int64_t task) {
      const int64_t block = task / tasks_.panel_blocks, part = task % tasks_.panel_blocks;
      const int64_t first = tiles * block / tasks_.tile_blocks,
                    end = tiles * (block + 1) / tasks_.tile_blocks;
      if (fused()) return run_fused(buffers, first, end);
      const int64_t first_panel = weights_->panels * part / tasks_.panel_blocks;
      const int64_t end_panel = weights_->panels * (part + 1) / tasks_.panel_blocks;
      for (int64_t p = first_panel; p < end_panel; ++p) {
        // As F32Conv::panel_after().
        const int64_t next = p + 1 < end_panel ? p + 1 : first_panel + (end_panel - first_panel) * threads_;
        for (int64_t t = first; t < end; ++t) {
          const F32TilePlace& place = geometry_.tiles[static_cast<size_t>(t)];
          float* v = static_cast<float*>(buffers.scratch) + place.pixel[0] * row_;
          const Ahead ahead{t - first < 4 && next < weights_->panels ? next : -1, t - first};
          multiply(buffers, {v, plane_}, place, p, ahead);
        }
      }
    });
  }

 private:
  /// Transformed patches: plane i at v + i * plane, row_ floats per patch.
  struct Patches {
    float* v;
    int64_t plane;
  };

  /// A quarter of a panel's weights to bring into L2 meanwhile; panel -1: none.
  struct Ahead {
    int64_t panel, quarter;
  };

  /// With few channels all weights stay in L2, and the patches of one tile never leave L1 and L2.
  bool fused() const { return tasks_.panel_blocks == 1 && spec_.shape.c <= kFusedChannels; }

  void run_fused(const ConvBuffers& buffers, int64_t first_tile, int64_t end_tile) const;
  void transform(const ConvBuffers& buffers, int64_t first, int64_t count, Patches out) const;
  void multiply(const ConvBuffers& buffers, Patches patches, const F32TilePlace& place, int64_t panel,
                Ahead ahead) const;
  void finish(const ConvBuffers& buffers, int64_t patch, int64_t panel, F32PatchOut& out) const;

  ConvSpec spec_;
  std::shared_ptr<const WinogradWeights> weights_;
  const WinogradIsa& isa_;
  const F32Kernels& kernels_;
  F32Geometry geometry_;
  F32Tasks tasks_;
  F32Epilogue epilogue_;
  int64_t threads_ = 1;
  int64_t row_ = 0, plane_ = 0;  // floats between patches and between the 16 planes of V
};

void F32Winograd::run_fused(const ConvBuffers& buffers, int64_t first_tile, int64_t end_tile) const {
  constexpr int64_t kPlane = kMostRows * kFusedChannels + 16;  // the 16 planes start in different cache sets
  alignas(64) float v[16 * kPlane];
  for (int64_t t = first_tile; t < end_tile; ++t) {
    const F32TilePlace& place = geometry_.tiles[static_cast<size_t>(t)];
    transform(buffers, place.pixel[0], place.rows, {v, kPlane});
    for (int64_t p = 0; p < weights_->panels; ++p) multiply(buffers, {v, kPlane}, place, p, {-1, 0});
  }
}

/// Patches [first, first + count), counted row by row over all images.
void F32Winograd::transform(const ConvBuffers& buffers, int64_t first, int64_t count, Patches out) const {
  const ConvShape& s = spec_.shape;
  const auto* src = static_cast<const float*>(buffers.src);
  F32PatchIn patch{};
  patch.plane = out.plane, patch.channels = s.c;
  for (int64_t i = first; i < first + count; ++i) {
    const int64_t line = i / patches_w(s), n = line / patches_h(s);
    const int64_t x = i % patches_w(s) * 2 - s.pad_left, y = line % patches_h(s) * 2 - s.pad_top;
    for (int64_t t = 0; t < 16; ++t) {
      const int64_t sy = y + t / 4, sx = x + t % 4;
      const bool inside = sy >= 0 && sy < s.h && sx >= 0 && sx < s.w;
      patch.d[t] = inside ? src + ((n * s.h + sy) * s.w + sx) * s.src_pixel() : weights_->zeros.as<float>();
    }
    patch.v = out.v + (i - first) * row_;
    isa_.in(patch);
  }
}

/// All 16 products of one tile and panel, and their outputs.
void F32Winograd::multiply(const ConvBuffers& buffers, Patches patches, const F32TilePlace& place,
                           int64_t panel, Ahead ahead) const {
  const ConvShape& s = spec_.shape;
  const int64_t columns = isa_.columns, n = std::min(columns, s.oc - panel * columns);
  const int64_t width = n <= columns / 2 ? columns / 2 : columns;
  alignas(64) float sums[16 * kMostRows * kMostColumns];
  constexpr int64_t kNoOffset = 0;
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const F32Epilogue none{{}, DType::f32, DType::undefined, true, -kInf, kInf};
  F32Tile tile{};
  tile.pixel_stride = row_ * 4;
  tile.span_offset = &kNoOffset, tile.spans = 1, tile.span_length = s.c;
  tile.bias = weights_->zeros.as<float>(), tile.n = width, tile.ld = width, tile.epilogue = &none;
  const F32TileKernel kernel = kernels_.tiles[n <= columns / 2 ? 0 : 1][place.rows - 1];
  const int64_t half = (place.rows + 1) / 2;
  for (int64_t i = 0; i < 16; ++i) {
    const float* v = patches.v + i * patches.plane;
    float* out = sums + i * place.rows * width;
    tile.a[0] = reinterpret_cast<const char*>(v), tile.a[1] = reinterpret_cast<const char*>(v + half * row_);
    tile.dst[0] = reinterpret_cast<char*>(out), tile.dst[1] = reinterpret_cast<char*>(out + half * width);
    tile.b = weights_->u.as<float>() + (panel * 16 * columns + i * width) * s.c;
    const int64_t next = ((ahead.panel * 16 + i) * columns + ahead.quarter * columns / 4) * s.c;
    tile.ahead = ahead.panel < 0 ? nullptr : reinterpret_cast<const char*>(weights_->u.as<float>() + next);
    kernel(tile);
  }
  F32PatchOut out{};
  out.m = sums, out.plane = place.rows * width, out.n = n;
  out.bias = weights_->bias.as<float>() + panel * columns, out.epilogue = &epilogue_;
  for (int64_t r = 0; r < place.rows; ++r, out.m += width) finish(buffers, place.pixel[0] + r, panel, out);
}

void F32Winograd::finish(const ConvBuffers& buffers, int64_t patch, int64_t panel, F32PatchOut& out) const {
  const ConvShape& s = spec_.shape;
  const int64_t x = patch % patches_w(s) * 2, line = patch / patches_w(s);
  const int64_t y = line % patches_h(s) * 2, n = line / patches_h(s);
  for (int64_t i = 0; i < 4; ++i) {
    const bool inside = y + i / 2 < s.oh && x + i % 2 < s.ow;
    const int64_t at = ((n * s.oh + y + i / 2) * s.ow + x + i % 2) * s.dst_pixel() + panel * isa_.columns;
    out.dst[i] = inside ? static_cast<float*>(buffers.dst) + at : nullptr;
    out.residual[i] =
        spec_.residual == DType::undefined ? nullptr : static_cast<const float*>(buffers.residual) + at;
  }
  isa_.out(out);
}

std::string unsupported(const ConvSpec& spec) {
  const ConvShape& s = spec.shape;
  if (s.kh != 3 || s.kw != 3) return fmt::format("window = {} x {}: wants 3 x 3", s.kh, s.kw);
  if (s.stride_h != 1 || s.stride_w != 1 || s.dilation_h != 1 || s.dilation_w != 1)
    return "wants stride and dilation 1";
  if (s.groups != 1) return fmt::format("groups = {}: wants 1", s.groups);
  if (s.c < kMinChannels || s.oc < kMinChannels)
    return fmt::format("channels = {} to {}: wants at least {}", s.c, s.oc, kMinChannels);
  if (patch_count(s) < kMinPatches)
    return fmt::format("{} patches of 2 x 2 outputs: wants at least {}", patch_count(s), kMinPatches);
  if (spec.src != DType::f32 || spec.dst != DType::f32) return "wants f32 in and out";
  if (spec.residual != DType::undefined && spec.residual != DType::f32) return "wants an f32 residual";
  return unsupported_float_types(spec);
}

template <const WinogradIsa& kIsa>
ConvCandidate candidate() {
  return {kIsa.name, kIsa.isa, unsupported,
          [](const ConvSpec& spec, const ConvWeights& weights) { return pack(spec, weights, kIsa.columns); },
          [](const ConvSpec& spec, std::shared_ptr<const PackedWeights> packed,
             int threads) -> std::unique_ptr<ConvKernel> {
            return std::make_unique<F32Winograd>(
                spec, std::static_pointer_cast<const WinogradWeights>(packed), kIsa, threads);
          }};
}

}  // namespace

ConvCandidate conv_f32_winograd_avx512() { return candidate<kAvx512>(); }
ConvCandidate conv_f32_winograd_avx2() { return candidate<kAvx2>(); }

}  // namespace narrow::kernels
