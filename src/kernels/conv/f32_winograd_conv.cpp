// conv_f32_winograd_*: 3x3 convolutions of stride 1 by F(2x2, 3x3), 2.25 times fewer multiplications;
// conv_half_winograd_*: of weights in 16 bits by F(4x4, 3x3), 4 times fewer. Both sum in FP32
// (f32_winograd.h).
//
// F(2x2, 3x3) only adds; sums of up to 4 inputs and products of 9/4 the size cost about one bit against the
// direct kernel. F(4x4, 3x3) costs four to five bits more (100 = 10 x 10 times an input, which outputs take
// back), which is far less than what rounding inputs and outputs to 16 bits does.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "kernels/conv/f32_conv.h"
#include "kernels/conv/f32_winograd.h"
#include "kernels/conv/f32_winograd_weights.h"
#include "kernels/conv/winograd_walk.h"

namespace narrow::kernels {
namespace {

struct WinogradIsa {
  const char* name;
  Isa isa;
  int64_t columns, most_rows;  // of a panel; patches at a time whose sums registers hold
  /// With fewer, what is transformed outweighs what is not multiplied: 7x7 with 512 channels has 16 patches
  /// of 2x2 and gains a tenth.
  int64_t least_patches;
  const F32Kernels& (*products)();
  const F32WinogradKernels& (*transforms)();
};

constexpr WinogradIsa kF32Avx512{"conv_f32_winograd_avx512", Isa::avx512,         32, 14, 40,
                                 f32_kernels_avx512,         f32_winograd2_avx512};
constexpr WinogradIsa kF32Avx2{"conv_f32_winograd_avx2", Isa::avx2,         16, 6, 40,
                               f32_kernels_avx2,         f32_winograd2_avx2};
constexpr WinogradIsa kHalfAvx512Bf16{
    "conv_half_winograd_avx512bf16", Isa::avx512_bf16, 32, 14, 25, f32_kernels_avx512,
    f32_winograd4_avx512bf16};
constexpr WinogradIsa kHalfAvx512{"conv_half_winograd_avx512", Isa::avx512,         32, 14, 9,
                                  f32_kernels_avx512,          f32_winograd4_avx512};
constexpr WinogradIsa kHalfAvx2{"conv_half_winograd_avx2", Isa::avx2,         16, 6, 4,
                                f32_kernels_avx2,          f32_winograd4_avx2};

alignas(64) constexpr float kNoBias[32] = {};

template <int64_t kOutputs>
constexpr int64_t kPlaces = (kOutputs + 2) * (kOutputs + 2);

/// What WinogradWalk makes of floats.
template <int64_t kSide>
class F32Maths {
 public:
  using Word = float;
  using Sum = float;
  static constexpr int64_t kOutputs = kSide, kMostRows = 14, kMostColumns = 32, kKept = 0;

  F32Maths(const ConvSpec& spec, std::shared_ptr<const F32WinogradWeights> weights, const WinogradIsa& isa)
      : shape_(spec.shape),
        src_(spec.src),
        weights_(std::move(weights)),
        isa_(isa),
        products_(isa.products()),
        transforms_(isa.transforms()),
        epilogue_(f32_epilogue(spec)),
        clamps_(spec.activation.is_clamp() &&
                (spec.residual == DType::undefined || spec.residual == spec.dst)) {}

  const ConvShape& shape() const { return shape_; }
  int64_t element_bytes() const { return bytes_of(src_); }
  static int fill() { return 0; }
  int64_t columns() const { return isa_.columns; }
  int64_t rows() const { return isa_.most_rows; }
  int64_t most_rows() const { return isa_.most_rows; }
  int64_t panels() const { return weights_->panels(); }
  int64_t channels_at_once() const { return shape_.c; }
  int64_t channels_transformed() const { return kChannels; }
  int64_t weight_words() const { return kPlaces<kSide> * (kChannels * isa_.columns + kLine); }
  static bool by_places() { return true; }

  void transform_in(const WinogradPixels& pixels, float* v, int64_t place) const {
    transforms_.in(
        {src_, reinterpret_cast<const char*>(pixels.first), pixels.row, pixels.pixel, shape_.c, v, place});
  }

  WinogradFilters<float> filters(int64_t panel, int64_t from, int64_t channels, float* u) const {
    const int64_t width = weights_->width(panel), place = channels * width + kLine;
    transforms_.filters({weights_->type(), weights_->filters(panel, from), channels, width, u, place});
    return {u, place};
  }

  void multiply(const WinogradProducts<float>& p, float* m) const {
    constexpr F32Span kWhole{0, 0};
    constexpr float kInf = std::numeric_limits<float>::infinity();
    const F32Epilogue none{{}, DType::f32, p.adds ? DType::f32 : DType::undefined, true, -kInf, kInf};
    const int64_t width = weights_->width(p.panel), half = (p.rows + 1) / 2;
    F32Tile tile{};
    tile.pixel_stride = p.v_row * 4;
    tile.span = &kWhole, tile.spans = 1, tile.span_length = p.channels;
    tile.bias = kNoBias, tile.n = width, tile.ld = isa_.columns, tile.epilogue = &none;
    const F32TileKernel kernel = products_.tiles[width == isa_.columns ? 1 : 0][p.rows - 1];
    for (int64_t i = 0; i < p.places; ++i) {
      const float* v = p.v + i * p.v_place;
      float* out = m + i * p.rows * isa_.columns;
      tile.a[0] = reinterpret_cast<const char*>(v);
      tile.a[1] = reinterpret_cast<const char*>(v + half * p.v_row);
      tile.dst[0] = reinterpret_cast<char*>(out);
      tile.dst[1] = reinterpret_cast<char*>(out + half * isa_.columns);
      tile.residual[0] = tile.dst[0], tile.residual[1] = tile.dst[1];
      tile.b = p.filters.u + i * p.filters.place;
      tile.ahead = next_filters(p, p.place + i);
      kernel(tile);
    }
  }

  void leave(const ConvBuffers& buffers, const WinogradPatches& patches,
             const WinogradSums<float>& sums) const {
    const int64_t columns = isa_.columns, channel = sums.panel * columns, pixel = shape_.dst_pixel();
    F32PatchOut out{};
    out.m_place = sums.count * columns;
    out.columns = std::min(columns, shape_.oc - channel);
    out.bias = weights_->bias(sums.panel);
    out.dst = static_cast<char*>(buffers.dst), out.residual = static_cast<const char*>(buffers.residual);
    out.row = shape_.ow * pixel, out.pixel = pixel;
    out.epilogue = &epilogue_, out.clamps = clamps_;
    for (int64_t r = 0; r < sums.count; ++r) {
      const WinogradPatches::Place place = patches.at(sums.first + r);
      out.m = sums.m + r * columns;
      out.at = ((place.image * shape_.oh + place.y) * shape_.ow + place.x) * pixel + channel;
      out.down = std::min(kSide, shape_.oh - place.y), out.across = std::min(kSide, shape_.ow - place.x);
      transforms_.out(out);
    }
  }

 private:
  /// Channels that are transformed at a time.
  static constexpr int64_t kChannels = 128;
  static constexpr int64_t kLine = 16;  // floats: places begin in different cache sets

  /// What a tile brings in meanwhile of the filters behind these: its part of the place's share.
  const char* next_filters(const WinogradProducts<float>& p, int64_t place) const {
    const int64_t all = p.channels * weights_->width(p.panel) * 9 * bytes_of(weights_->type()),
                  share = all / kPlaces<kSide>, at = p.turn * 32 * p.channels;
    return at < share ? weights_->filters(p.panel, p.from) + all + place * share + at : nullptr;
  }

  ConvShape shape_;
  DType src_;
  std::shared_ptr<const F32WinogradWeights> weights_;
  const WinogradIsa& isa_;
  const F32Kernels& products_;
  const F32WinogradKernels& transforms_;
  F32Epilogue epilogue_;
  bool clamps_;
};

constexpr int64_t kMinChannels = 32;

std::string unsupported(const ConvSpec& spec, const WinogradIsa& isa, int64_t outputs) {
  const ConvShape& s = spec.shape;
  if (std::string reason = winograd_unsupported(s); !reason.empty()) return reason;
  if (s.c < kMinChannels || s.oc < kMinChannels)
    return fmt::format("channels = {} to {}: wants at least {}", s.c, s.oc, kMinChannels);
  if (const WinogradPatches patches(s, outputs); patches.all < isa.least_patches)
    return fmt::format("{} patches of {} x {} outputs: wants at least {}", patches.all, outputs, outputs,
                       isa.least_patches);
  return unsupported_float_types(spec);
}

template <const WinogradIsa& kIsa>
std::string unsupported_f32(const ConvSpec& spec) {
  if (spec.src != DType::f32 || spec.dst != DType::f32) return "wants f32 in and out";
  if (spec.residual != DType::undefined && spec.residual != DType::f32) return "wants an f32 residual";
  return unsupported(spec, kIsa, 2);
}

template <const WinogradIsa& kIsa>
std::string unsupported_half(const ConvSpec& spec) {
  if (spec.weights != DType::bf16 && spec.weights != DType::f16)
    return fmt::format("weights = {}: wants bf16 or f16", to_string(spec.weights));
  if (spec.src != DType::f32 && spec.src != DType::bf16 && spec.src != DType::f16)
    return fmt::format("src = {}: wants f32, bf16 or f16", to_string(spec.src));
  return unsupported(spec, kIsa, 4);
}

template <const WinogradIsa& kIsa>
constexpr ConvStorage kStorage{
    [](const ConvSpec& spec) { return std::vector{f32_winograd_stored_size(spec, kIsa.columns)}; },
    [](const ConvSpec& spec, std::span<const AlignedBuffer> parts, std::byte* weights) {
      f32_winograd_unpack(spec, kIsa.columns, parts[0], weights);
    },
    [](const ConvSpec& spec) { return winograd_unsupported_weights(spec.shape); }};

template <int64_t kOutputs, const WinogradIsa& kIsa>
ConvCandidate candidate(std::string (*refuses)(const ConvSpec& spec)) {
  return {kIsa.name,
          kIsa.isa,
          refuses,
          [](const ConvSpec& spec, const ConvWeights& weights) -> std::shared_ptr<const PackedWeights> {
            return std::make_shared<F32WinogradWeights>(spec, weights, kIsa.columns);
          },
          [](const ConvSpec& spec, std::shared_ptr<const PackedWeights> packed,
             int threads) -> std::unique_ptr<ConvKernel> {
            auto weights = std::static_pointer_cast<const F32WinogradWeights>(std::move(packed));
            return std::make_unique<WinogradWalk<F32Maths<kOutputs>>>(
                F32Maths<kOutputs>(spec, std::move(weights), kIsa), threads);
          },
          kStorage<kIsa>};
}

}  // namespace

ConvCandidate conv_f32_winograd_avx512() { return candidate<2, kF32Avx512>(unsupported_f32<kF32Avx512>); }
ConvCandidate conv_f32_winograd_avx2() { return candidate<2, kF32Avx2>(unsupported_f32<kF32Avx2>); }
ConvCandidate conv_half_winograd_avx512bf16() {
  return candidate<4, kHalfAvx512Bf16>(unsupported_half<kHalfAvx512Bf16>);
}
ConvCandidate conv_half_winograd_avx512() { return candidate<4, kHalfAvx512>(unsupported_half<kHalfAvx512>); }
ConvCandidate conv_half_winograd_avx2() { return candidate<4, kHalfAvx2>(unsupported_half<kHalfAvx2>); }

}  // namespace narrow::kernels
