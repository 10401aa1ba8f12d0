// conv_int8_winograd_*: 3x3 convolutions of stride 1 by F(4x4, 3x3) in whole numbers (s8_winograd.h).
//
// A task transforms some patches, as many as L2 holds beside the weights of a panel, and multiplies them with
// one panel after the other, a few patches at a time: 36 sums of each, which leave through the direct
// kernels' finish as 4x4 outputs. Where there are many weights, more patches are multiplied with one place's,
// which stay in L1, before the next place's are read.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/cpu.h"
#include "kernels/conv/s8_winograd.h"
#include "kernels/conv/s8_winograd_weights.h"

namespace narrow::kernels {
namespace {

struct WinogradIsa {
  const char* name;
  Isa isa;
  int64_t columns, rows;  // of a panel, and patches at a time whose sums stay in L1
  int64_t most_rows;      // as many as registers hold sums of
  bool on_float;
  /// With fewer what is read (eight times the bytes of weights) and transformed outweighs what is not
  /// multiplied.
  int64_t least_patches, least_channels, least_outputs;
  const S8WinogradKernels& (*kernels)();
};

constexpr WinogradIsa kAvx512{"conv_int8_winograd_avx512vnni", Isa::avx512_vnni, 32, 10, 14, true, 32, 64, 32,
                              s8_winograd_avx512vnni};
constexpr WinogradIsa kAvxVnni{"conv_int8_winograd_avx2vnni", Isa::avx2_vnni, 16, 6, 6, false, 32, 32, 32,
                               s8_winograd_avx2vnni};
constexpr WinogradIsa kAvx2{"conv_int8_winograd_avx2", Isa::avx2, 16, 6, 6, false, 8, 32, 16,
                            s8_winograd_avx2};

constexpr int64_t kMostColumns = 32, kMostRows = 10, kPatch = 6, kOutputs = 4;
/// Of transformed weights, eight times the bytes of the filters: the most, and more than what is worth
/// reading once for every few patches.
constexpr int64_t kMostBytes = 24 << 20, kManyBytes = 6 << 20;

int64_t transformed_bytes(const ConvShape& s) { return kS8WinogradPoints * s.c * s.oc * 2; }

/// Patches row by row over all images.
struct Patches {
  int64_t down, across, all;
  explicit Patches(const ConvShape& s)
      : down(div_up(s.oh, kOutputs)), across(div_up(s.ow, kOutputs)), all(s.n * down * across) {}

  /// The first output of a patch.
  struct Place {
    int64_t image, y, x;
  };
  Place at(int64_t patch) const {
    const int64_t line = patch / across;
    return {line / down, line % down * kOutputs, patch % across * kOutputs};
  }
};

class S8Winograd final : public ConvKernel {
 public:
  S8Winograd(const ConvSpec& spec, std::shared_ptr<const S8WinogradWeights> weights, const WinogradIsa& isa,
             int threads)
      : shape_(spec.shape),
        weights_(std::move(weights)),
        isa_(isa),
        kernels_(isa.kernels()),
        patches_(spec.shape),
        finish_(s8_finish_of(spec, weights_->columns(), isa.on_float)),
        is_signed_(spec.src == DType::s8),
        fill_(spec.src_quant.zero_point) {
    constexpr int64_t kLine = 32;  // words: patches begin in different cache sets
    row_ = kS8WinogradPoints * shape_.c + kLine;
    // A third of L2 for patches, where a panel's weights are the rest of what comes by.
    const int64_t l2 = cpu_features().l2_bytes;
    by_places_ = transformed_bytes(spec.shape) > kManyBytes;
    const int64_t room = by_places_ ? l2 : l2 / 3;
    at_once_ = std::clamp<int64_t>(room / (row_ * 2), isa.rows, std::max(isa.rows, patches_.all));
    deal(threads);
    at_once_ = std::min(at_once_, div_up(patches_.all, patch_tasks_));
  }

  int64_t scratch_bytes() const override { return patch_tasks_ * panel_tasks_ * task_bytes(); }

  void run(const ConvBuffers& buffers, ThreadPool& pool) const override {
    pool.run(patch_tasks_ * panel_tasks_, [&](int64_t task) {
      const int64_t part = task / panel_tasks_, panels = task % panel_tasks_;
      const Range range{patches_.all * part / patch_tasks_, patches_.all * (part + 1) / patch_tasks_,
                        weights_->panels() * panels / panel_tasks_,
                        weights_->panels() * (panels + 1) / panel_tasks_};
      run_task(buffers, range, static_cast<std::byte*>(buffers.scratch) + task * task_bytes());
    });
  }

 private:
  struct Range {
    int64_t begin, end, panel_begin, panel_end;  // patches, panels
  };

  /// Patches over the threads, and where there are too few of them panels. What takes long gets two tasks a
  /// thread: cores are not equally fast all the time.
  void deal(int threads) {
    constexpr int64_t kFew = 6;
    if (by_places_) {  // weights are most of what is read: once, if panels are many enough
      panel_tasks_ = std::clamp<int64_t>(weights_->panels() / 2, 1, threads);
      patch_tasks_ = std::clamp<int64_t>(threads / panel_tasks_, 1, div_up(patches_.all, kFew));
      return;
    }
    if (threads == 1 || patches_.all < kFew * threads) {
      panel_tasks_ = std::min<int64_t>(threads, weights_->panels());
      return;
    }
    patch_tasks_ = threads * std::clamp<int64_t>(patches_.all / (threads * at_once_), 1, 2);
  }

  int64_t border_bytes() const { return round_up(kPatch * kPatch * shape_.c, 64); }
  int64_t patch_bytes() const { return round_up(at_once_ * row_ * 2, 64); }
  /// Of all patches of a task, with one panel: sums, and outputs.
  int64_t sums() const { return by_places_ ? at_once_ * kS8WinogradPoints * isa_.columns : 0; }
  int64_t outputs() const { return by_places_ ? at_once_ * kS8WinogradOutputs * isa_.columns : 0; }
  int64_t task_bytes() const { return patch_bytes() + border_bytes() + (sums() + outputs()) * 4; }

  void run_task(const ConvBuffers& buffers, const Range& range, std::byte* scratch) const {
    auto* border = reinterpret_cast<uint8_t*>(scratch);
    auto* v = reinterpret_cast<int16_t*>(scratch + border_bytes());
    const int64_t groups = div_up(range.end - range.begin, at_once_);
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t begin = range.begin + (range.end - range.begin) * g / groups,
                    end = range.begin + (range.end - range.begin) * (g + 1) / groups;
      for (int64_t patch = begin; patch < end; ++patch)
        transform(buffers, patch, border, v + (patch - begin) * row_);
      if (by_places_) {
        auto* m = reinterpret_cast<int32_t*>(scratch + border_bytes() + patch_bytes());
        for (int64_t panel = range.panel_begin; panel < range.panel_end; ++panel)
          multiply_by_places(buffers, panel, {begin, end - begin, v}, m);
        continue;
      }
      const int64_t blocks = div_up(end - begin, isa_.rows);
      for (int64_t panel = range.panel_begin; panel < range.panel_end; ++panel)
        for (int64_t block = 0; block < blocks; ++block) {
          const int64_t first = (end - begin) * block / blocks, last = (end - begin) * (block + 1) / blocks;
          multiply(buffers, panel, {begin + first, last - first, v + first * row_});
        }
    }
  }

  void transform(const ConvBuffers& buffers, int64_t patch, uint8_t* border, int16_t* v) const {
    const Patches::Place place = patches_.at(patch);
    const int64_t y = place.y - shape_.pad_top, x = place.x - shape_.pad_left, pixel = shape_.src_pixel();
    const uint8_t* image =
        static_cast<const uint8_t*>(buffers.src) + place.image * shape_.h * shape_.w * pixel;
    S8PatchIn in{image + (y * shape_.w + x) * pixel, shape_.w * pixel, pixel, shape_.c, v};
    if (y < 0 || x < 0 || y + kPatch > shape_.h || x + kPatch > shape_.w) {
      copy_border(image, y, x, border);
      in.src = border, in.row = kPatch * shape_.c, in.pixel = shape_.c;
    }
    kernels_.in(in, is_signed_);
  }

  /// The 6x6 pixels from (y, x) on, padding outside the image.
  void copy_border(const uint8_t* image, int64_t y, int64_t x, uint8_t* to) const {
    for (int64_t i = 0; i < kPatch; ++i)
      for (int64_t j = 0; j < kPatch; ++j, to += shape_.c) {
        const bool inside = y + i >= 0 && y + i < shape_.h && x + j >= 0 && x + j < shape_.w;
        if (inside)
          std::memcpy(to, image + ((y + i) * shape_.w + x + j) * shape_.src_pixel(),
                      static_cast<size_t>(shape_.c));
        else
          std::memset(to, fill_, static_cast<size_t>(shape_.c));
      }
  }

  /// Transformed patches [first, first + count).
  struct Block {
    int64_t first, count;
    const int16_t* v;
    bool is_first = true;  // of those multiplied with the same weights
  };

  void multiply(const ConvBuffers& buffers, int64_t panel, const Block& block) const {
    alignas(64) int32_t m[kS8WinogradPoints * kMostRows * kMostColumns];
    alignas(64) int32_t y[kMostRows * kS8WinogradOutputs * kMostColumns];
    for (int64_t from = 0; from < shape_.c / 2; from += weights_->pairs_at_once()) {
      multiply_places(panel, from, 0, kS8WinogradPoints, block, m);
      transform_out(panel, from, block.count, m, y);
    }
    finish(buffers, panel, block, y);
  }

  /// `m`: sums() and outputs().
  void multiply_by_places(const ConvBuffers& buffers, int64_t panel, const Block& patches, int32_t* m) const {
    int32_t* y = m + sums();
    const int64_t blocks = div_up(patches.count, isa_.most_rows);
    const auto each_block = [&](const auto& f) {
      for (int64_t b = 0; b < blocks; ++b) {
        const int64_t first = patches.count * b / blocks, count = patches.count * (b + 1) / blocks - first;
        f(first, Block{patches.first + first, count, patches.v + first * row_, b == 0});
      }
    };
    for (int64_t from = 0; from < shape_.c / 2; from += weights_->pairs_at_once()) {
      for (int64_t place = 0; place < kS8WinogradPoints; ++place)
        each_block([&](int64_t first, const Block& block) {
          int32_t* sums_of_block = m + first * kS8WinogradPoints * isa_.columns;
          multiply_places(panel, from, place, 1, block, sums_of_block + place * block.count * isa_.columns);
        });
      each_block([&](int64_t first, const Block& block) {
        transform_out(panel, from, block.count, m + first * kS8WinogradPoints * isa_.columns,
                      y + first * kS8WinogradOutputs * isa_.columns);
      });
    }
    finish(buffers, panel, patches, y);
  }

  /// Sums of `count` of the 36 places over channels from pair `from` on: m[count][patches][columns].
  void multiply_places(int64_t panel, int64_t from, int64_t place, int64_t count, const Block& block,
                       int32_t* m) const {
    const int64_t columns = isa_.columns;
    kernels_.products({.v = block.v + place * shape_.c + 2 * from,
                       .v_row = row_,
                       .v_point = shape_.c,
                       .u = weights_->panel(panel) + place * weights_->point_elements() + 2 * from * columns,
                       .u_point = weights_->point_elements(),
                       .points = count,
                       .pairs = std::min(weights_->pairs_at_once(), shape_.c / 2 - from),
                       .rows = block.count,
                       .columns = live_columns(panel),
                       .fetches = by_places_ && block.is_first,
                       .m = m});
  }

  /// m[36][patches][columns] -> y[patches][16][columns], beside what that holds behind the first channels.
  void transform_out(int64_t panel, int64_t from, int64_t patches, const int32_t* m, int32_t* y) const {
    const int64_t columns = isa_.columns;
    for (int64_t r = 0; r < patches; ++r)
      kernels_.out({.m = m + r * columns,
                    .m_point = patches * columns,
                    .columns = live_columns(panel),
                    .start = from == 0 ? finish_.start + panel * columns : nullptr,
                    .y = y + r * kS8WinogradOutputs * columns});
  }

  void finish(const ConvBuffers& buffers, int64_t panel, const Block& block, const int32_t* y) const {
    const int64_t columns = isa_.columns, at = panel * columns;
    S8Finish finish = finish_;
    finish.residual = buffers.residual;
    finish.dst = buffers.dst;
    for (int64_t r = 0; r < block.count; ++r)
      kernels_.finish(finish, rows_of(block.first + r),
                      {y + r * kS8WinogradOutputs * columns, live_columns(panel), at, at});
  }

  int64_t live_columns(int64_t panel) const {
    return std::min(isa_.columns, shape_.oc - panel * isa_.columns);
  }

  /// The outputs of a patch that are pixels.
  ConvRows rows_of(int64_t patch) const {
    const Patches::Place place = patches_.at(patch);
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
  Patches patches_;
  S8Finish finish_;
  bool is_signed_;
  int fill_;
  int64_t row_ = 0, at_once_ = 0;  // words of a transformed patch, and how many are kept
  int64_t patch_tasks_ = 1, panel_tasks_ = 1;
  bool by_places_ = false;
};

std::string unsupported(const ConvSpec& spec, const WinogradIsa& isa) {
  const ConvShape& s = spec.shape;
  if (std::string reason = s8_unsupported(spec); !reason.empty()) return reason;
  if (s.kh != 3 || s.kw != 3) return fmt::format("window = {} x {}: wants 3 x 3", s.kh, s.kw);
  if (s.stride_h != 1 || s.stride_w != 1 || s.dilation_h != 1 || s.dilation_w != 1)
    return "wants stride and dilation 1";
  if (s.groups != 1) return fmt::format("groups = {}: wants 1", s.groups);
  if (s.c % 16 != 0) return fmt::format("channels = {}: wants a multiple of 16", s.c);
  if (s.c < isa.least_channels || s.oc < isa.least_outputs)
    return fmt::format("channels = {} to {}: wants at least {} to {}", s.c, s.oc, isa.least_channels,
                       isa.least_outputs);
  if (const int64_t bytes = transformed_bytes(s); bytes > kMostBytes)
    return fmt::format("{:.1f} MB of transformed weights: wants at most {:.1f}",
                       static_cast<double>(bytes) / 1e6, static_cast<double>(kMostBytes) / 1e6);
  if (const Patches patches(s); patches.all < isa.least_patches)
    return fmt::format("{} patches of 4 x 4 outputs: wants at least {}", patches.all, isa.least_patches);
  return {};
}

template <const WinogradIsa& kIsa>
ConvCandidate candidate() {
  return {kIsa.name, kIsa.isa, [](const ConvSpec& spec) { return unsupported(spec, kIsa); },
          [](const ConvSpec& spec, const ConvWeights& weights) -> std::shared_ptr<const PackedWeights> {
            return std::make_shared<S8WinogradWeights>(spec, weights, kIsa.columns);
          },
          [](const ConvSpec& spec, std::shared_ptr<const PackedWeights> packed,
             int threads) -> std::unique_ptr<ConvKernel> {
            return std::make_unique<S8Winograd>(
                spec, std::static_pointer_cast<const S8WinogradWeights>(std::move(packed)), kIsa, threads);
          }};
}

}  // namespace

ConvCandidate conv_int8_winograd_avx512vnni() { return candidate<kAvx512>(); }
ConvCandidate conv_int8_winograd_avx2vnni() { return candidate<kAvxVnni>(); }
ConvCandidate conv_int8_winograd_avx2() { return candidate<kAvx2>(); }

}  // namespace narrow::kernels
