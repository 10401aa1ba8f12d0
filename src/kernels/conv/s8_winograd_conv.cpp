// conv_int8_winograd_*: 3x3 convolutions of stride 1 by F(4x4, 3x3) in whole numbers (s8_winograd.h), whose
// outputs leave through the direct kernels' finish.
#include <fmt/format.h>

#include <algorithm>

#include "kernels/conv/s8_winograd.h"
#include "kernels/conv/s8_winograd_weights.h"
#include "kernels/conv/winograd_walk.h"

namespace narrow::kernels {
namespace {

struct WinogradIsa {
  const char* name;
  Isa isa;
  int64_t columns, rows;  // of a panel, and patches at a time whose sums stay in L1
  int64_t most_rows;      // as many as registers hold sums of
  bool on_float;
  /// With fewer what is transformed outweighs what is not multiplied.
  int64_t least_patches, least_channels, least_outputs;
  const S8WinogradKernels& (*kernels)();
};

constexpr WinogradIsa kAvx512{"conv_int8_winograd_avx512vnni", Isa::avx512_vnni, 32, 10, 14, true, 25, 64, 32,
                              s8_winograd_avx512vnni};
constexpr WinogradIsa kAvxVnni{"conv_int8_winograd_avx2vnni", Isa::avx2_vnni, 16, 6, 6, false, 25, 32, 32,
                               s8_winograd_avx2vnni};
constexpr WinogradIsa kAvx2{"conv_int8_winograd_avx2", Isa::avx2, 16, 6, 6, false, 8, 32, 16,
                            s8_winograd_avx2};

/// What WinogradWalk makes of bytes.
class S8Maths {
 public:
  using Word = int16_t;
  using Sum = int32_t;
  static constexpr int64_t kOutputs = 4, kMostRows = 10, kMostColumns = 32, kKept = kS8WinogradOutputs;

  S8Maths(const ConvSpec& spec, std::shared_ptr<const S8WinogradWeights> weights, const WinogradIsa& isa)
      : shape_(spec.shape),
        weights_(std::move(weights)),
        isa_(isa),
        kernels_(isa.kernels()),
        function_(spec.function),
        finish_(s8_finish_of(spec, weights_->columns(), isa.on_float)),
        is_signed_(spec.src == DType::s8),
        fill_(spec.src_quant.zero_point) {}

  const ConvShape& shape() const { return shape_; }
  static int64_t element_bytes() { return 1; }
  int fill() const { return fill_; }
  int64_t columns() const { return isa_.columns; }
  int64_t rows() const { return isa_.rows; }
  int64_t most_rows() const { return isa_.most_rows; }
  int64_t panels() const { return weights_->panels(); }
  int64_t channels_at_once() const { return 2 * weights_->pairs_at_once(); }
  int64_t channels_transformed() const { return by_places() ? kChannels : shape_.c; }
  int64_t weight_words() const { return kS8WinogradPoints * place_of(channels_transformed()); }
  /// Where a panel's filters and enough patches to share them would fill L2.
  bool by_places() const { return shape_.c > kChannels; }

  void transform_in(const WinogradPixels& pixels, int16_t* v, int64_t place) const {
    const auto* first = reinterpret_cast<const uint8_t*>(pixels.first);
    kernels_.in({first, pixels.row, pixels.pixel, shape_.c, v, place}, is_signed_);
  }

  WinogradFilters<int16_t> filters(int64_t panel, int64_t from, int64_t channels, int16_t* u) const {
    const int64_t place = place_of(channels);
    kernels_.filters({weights_->filters(panel, from), channels / 2, live_columns(panel), u, place});
    return {u, place};
  }

  void multiply(const WinogradProducts<int16_t>& p, int32_t* m) const {
    kernels_.products({.v = p.v,
                       .v_row = p.v_row,
                       .v_point = p.v_place,
                       .u = p.filters.u,
                       .u_point = p.filters.place,
                       .points = p.places,
                       .pairs = p.channels / 2,
                       .rows = p.rows,
                       .columns = live_columns(p.panel),
                       .adds = p.adds,
                       .ahead = next_filters(p),
                       .m = m});
  }

  void leave(const ConvBuffers& buffers, const WinogradPatches& patches,
             const WinogradSums<int32_t>& sums) const {
    const int64_t columns = isa_.columns, at = sums.panel * columns;
    S8Finish finish = finish_;
    finish.residual = buffers.residual;
    finish.dst = buffers.dst;
    for (int64_t r = 0; r < sums.count; ++r) {
      int32_t* y = sums.y + r * kS8WinogradOutputs * columns;
      kernels_.out({.m = sums.m + r * columns,
                    .m_point = sums.count * columns,
                    .columns = live_columns(sums.panel),
                    .start = sums.begins ? finish_.start + at : nullptr,
                    .y = y});
      if (sums.ends)
        kernels_.finish(finish, rows_of(patches.at(sums.first + r)), {y, live_columns(sums.panel), at, at});
    }
  }

 private:
  /// Channels that are transformed at a time by places.
  static constexpr int64_t kChannels = 256;

  /// Words from place to place: these begin in different cache sets.
  int64_t place_of(int64_t channels) const { return channels * isa_.columns + 32; }

  /// What the first block of patches brings in meanwhile of the filters behind these: a line for each pair of
  /// channels and place is twice what there is.
  const int8_t* next_filters(const WinogradProducts<int16_t>& p) const {
    const int64_t all = p.channels * 9 * isa_.columns;
    return p.turn == 0 ? weights_->filters(p.panel, p.from) + all + p.place * (all / kS8WinogradPoints)
                       : nullptr;
  }

  int64_t live_columns(int64_t panel) const {
    return std::min(isa_.columns, shape_.oc - panel * isa_.columns);
  }

  /// The outputs of a patch that are pixels.
  ConvRows rows_of(const WinogradPatches::Place& place) const {
    const int64_t down = std::min(kOutputs, shape_.oh - place.y),
                  across = std::min(kOutputs, shape_.ow - place.x);
    ConvRows rows;
    rows.count = 0;
    for (int64_t i = 0; i < down; ++i)
      for (int64_t j = 0; j < across; ++j, ++rows.count) {
        rows.sums[rows.count] = (i * kOutputs + j) * isa_.columns;
        rows.element[rows.count] =
            ((place.image * shape_.oh + place.y + i) * shape_.ow + place.x + j) * shape_.dst_pixel();
      }
    rows.sums[rows.count] = rows.sums[rows.count - 1];
    rows.element[rows.count] = rows.element[rows.count - 1];
    return rows;
  }

  ConvShape shape_;
  std::shared_ptr<const S8WinogradWeights> weights_;
  const WinogradIsa& isa_;
  const S8WinogradKernels& kernels_;
  std::shared_ptr<const ByteFunction> function_;  // what finish_ points at
  S8Finish finish_;
  bool is_signed_;
  int fill_;
};

std::string unsupported(const ConvSpec& spec, const WinogradIsa& isa) {
  const ConvShape& s = spec.shape;
  if (std::string reason = s8_unsupported(spec); !reason.empty()) return reason;
  if (std::string reason = winograd_unsupported(s); !reason.empty()) return reason;
  if (s.c % 16 != 0) return fmt::format("channels = {}: wants a multiple of 16", s.c);
  if (s.c < isa.least_channels || s.oc < isa.least_outputs)
    return fmt::format("channels = {} to {}: wants at least {} to {}", s.c, s.oc, isa.least_channels,
                       isa.least_outputs);
  if (const WinogradPatches patches(s, S8Maths::kOutputs); patches.all < isa.least_patches)
    return fmt::format("{} patches of 4 x 4 outputs: wants at least {}", patches.all, isa.least_patches);
  return {};
}

template <const WinogradIsa& kIsa>
constexpr ConvStorage kStorage{
    [](const ConvSpec& spec) { return s8_winograd_stored_sizes(spec, kIsa.columns); },
    [](const ConvSpec& spec, std::span<const AlignedBuffer> parts, std::byte* weights) {
      s8_winograd_unpack(spec, kIsa.columns, parts, weights);
    },
    [](const ConvSpec& spec) { return winograd_unsupported_weights(spec.shape); }};

template <const WinogradIsa& kIsa>
ConvCandidate candidate() {
  return {kIsa.name,
          kIsa.isa,
          [](const ConvSpec& spec) { return unsupported(spec, kIsa); },
          [](const ConvSpec& spec, const ConvWeights& weights) -> std::shared_ptr<const PackedWeights> {
            return std::make_shared<S8WinogradWeights>(spec, weights, kIsa.columns);
          },
          [](const ConvSpec& spec, std::shared_ptr<const PackedWeights> packed,
             int threads) -> std::unique_ptr<ConvKernel> {
            auto weights = std::static_pointer_cast<const S8WinogradWeights>(std::move(packed));
            return std::make_unique<WinogradWalk<S8Maths>>(S8Maths(spec, std::move(weights), kIsa), threads);
          },
          kStorage<kIsa>};
}

}  // namespace

ConvCandidate conv_int8_winograd_avx512vnni() { return candidate<kAvx512>(); }
ConvCandidate conv_int8_winograd_avx2vnni() { return candidate<kAvxVnni>(); }
ConvCandidate conv_int8_winograd_avx2() { return candidate<kAvx2>(); }

}  // namespace narrow::kernels
