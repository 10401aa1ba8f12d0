// Int8 convolutions and products as one blocked matrix product: positions x outputs, summed over taps and
// channels.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "kernels/conv/s8_columns.h"
#include "kernels/conv/s8_layout.h"
#include "kernels/conv/s8_task.h"
#include "kernels/conv/walk_plan.h"
#include "kernels/layout/interleave.h"

namespace narrow::kernels {
namespace {

struct S8Isa {
  const char* name;
  Isa isa;
  S8Tile tile;
  void (*task)(const S8Args& args, const ConvRange& range);
  bool on_float;  // sums may begin on the bits of a float
  /// What makes the elements of tile.element = 2 bytes.
  void (*widen)(bool is_signed, const uint8_t* from, int64_t count, int16_t* to) = nullptr;
  /// Why it takes less than others.
  std::string (*refuses)(const ConvSpec& spec) = nullptr;
  /// What the task wants to know of the weights.
  void (*largest)(const int8_t* weights, int64_t panels, int64_t depth, uint8_t* largest) = nullptr;
};

constexpr S8Tile kBytesTile{{6, 16, 4}, 16, false, false, 1};

/// Bytes whose zero is small are mostly small: s8_bytes_rows_avx2.h.
std::string refused_by_bytes(const ConvSpec& spec) {
  constexpr int32_t kMostZero = 64;
  if (spec.src != DType::u8) return fmt::format("src = {}: wants u8", to_string(spec.src));
  if (spec.src_quant.zero_point > kMostZero)
    return fmt::format("zero point {}: wants at most {}, bytes beside each other are to be small",
                       spec.src_quant.zero_point, kMostZero);
  if (const int64_t depth = s8_layout(spec, kBytesTile).depth(); depth > kS8MostBytesDepth)
    return fmt::format("{} products per sum: wants at most {}", depth, kS8MostBytesDepth);
  return {};
}

constexpr S8Isa kAmx{"conv_int8_amx", Isa::amx, {{32, 32, 64}, 64, false, true, 1}, s8_task_amx, true};
constexpr S8Isa kVnni{
    "conv_int8_avx512vnni", Isa::avx512_vnni, {{14, 32, 4}, 32, true, false, 1}, s8_task_avx512vnni, true};
constexpr S8Isa kAvxVnni{
    "conv_int8_avx2vnni", Isa::avx2_vnni, {{6, 16, 4}, 16, true, false, 1}, s8_task_avx2vnni, false};
constexpr S8Isa kAvx2Bytes{"conv_int8_bytes_avx2", Isa::avx2,      kBytesTile,
                           s8_bytes_task_avx2,     false,          nullptr,
                           refused_by_bytes,       s8_largest_avx2};
constexpr S8Isa kAvx2{"conv_int8_avx2", Isa::avx2, {{6, 16, 4}, 16, false, false, 2},
                      s8_task_avx2,     false,     s8_widen_avx2};
constexpr S8Isa kPlain{
    "conv_int8_plain", Isa::plain, {{4, 16, 4}, 16, false, false, 1}, s8_task_plain, false};

/// The shape of what the walk reads: pixels of all rows that share a segment.
ConvShape in_bytes(ConvShape shape, const ConvLayout& layout) {
  const int64_t bytes = layout.rows_per_segment * layout.widening;
  shape.c *= bytes;
  shape.src_pitch *= bytes;
  return shape;
}

class S8Conv : public ConvKernel, private ConvWalker {
 public:
  S8Conv(const ConvSpec& spec, std::shared_ptr<const S8Packed> packed, const S8Isa& isa, int threads)
      : shape_(spec.shape),
        packed_(std::move(packed)),
        task_(isa.task),
        widen_(isa.widen),
        is_signed_(spec.src == DType::s8),
        fill_(spec.src_quant.zero_point),
        function_(spec.function),
        finish_(s8_finish_of(spec, packed_->columns(), isa.on_float)),
        interleave_(interleave_plan(packed_->layout().rows_per_segment, spec.shape.c)),
        plan_(in_bytes(spec.shape, packed_->layout()), packed_->layout(),
              spec.shape.is_pointwise() && isa.widen == nullptr, threads) {
    if (isa.largest == nullptr) return;
    const ConvLayout& layout = packed_->layout();
    largest_ = AlignedBuffer::zeroed(layout.groups * layout.depth() + 32);  // read 32 at a time
    for (int64_t group = 0; group < layout.groups; ++group)
      isa.largest(packed_->weights() + group * layout.panels * layout.panel_bytes(), layout.panels,
                  layout.depth(), largest_.as<uint8_t>() + group * layout.depth());
  }

  int64_t scratch_bytes() const override { return plan_.scratch_bytes(); }
  WeightStream weights() const override { return plan_.stream(packed_->weights()); }

  void run(const ConvBuffers& buffers, ThreadPool& pool) const override {
    plan_.run(*this, buffers, packed_->weights(), pool);
  }

 private:
  void multiply(const ConvBuffers& buffers, const ConvWalk& walk, const ConvRange& range) const override {
    S8Finish finish = finish_;
    finish.residual = buffers.residual;
    finish.dst = buffers.dst;
    task_({walk, is_signed_, finish, largest_.as<uint8_t>()}, range);
  }

  void copy_row(const void* src, int64_t n, int64_t y, uint8_t* to) const override {
    const auto* bytes = static_cast<const uint8_t*>(src);
    if (interleave_.count > 1) return fill_rows(bytes, n, y, to);
    if (widen_ != nullptr) return fill_wide_row(row_at(bytes, n, y), reinterpret_cast<int16_t*>(to));
    fill_row(row_at(bytes, n, y), to);
  }

  /// Null: padding.
  const uint8_t* row_at(const uint8_t* src, int64_t n, int64_t y) const {
    const int64_t row = source_row(shape_, n, y);
    return row < 0 ? nullptr : src + row * shape_.w * shape_.src_pixel();
  }

  /// The rows that share a segment, interleaved; padding as in fill_row().
  void fill_rows(const uint8_t* src, int64_t n, int64_t y, uint8_t* to) const {
    const int64_t count = interleave_.count, pixel = count * shape_.c;
    const uint8_t* rows[kMaxRows];
    for (int64_t i = 0; i < count; ++i) rows[i] = row_at(src, n, y + i);
    const int64_t all = plan_.image().row_bytes / pixel, left = std::min(shape_.pad_left, all),
                  middle = std::min(shape_.w, all - left);
    std::memset(to, fill_, static_cast<size_t>(left * pixel));
    fill_pixels(rows, middle, to + left * pixel);
    std::memset(to + (left + middle) * pixel, fill_, static_cast<size_t>((all - left - middle) * pixel));
  }

  void fill_pixels(const uint8_t* const* rows, int64_t pixels, uint8_t* to) const {
    if (shape_.src_pixel() == shape_.c)
      return interleave_avx512vnni(interleave_, rows, pixels, static_cast<uint8_t>(fill_), to);
    for (int64_t x = 0; x < pixels; ++x)
      for (int64_t i = 0; i < interleave_.count; ++i, to += shape_.c)
        if (rows[i] == nullptr)
          std::memset(to, fill_, static_cast<size_t>(shape_.c));
        else
          std::memcpy(to, rows[i] + x * shape_.src_pixel(), static_cast<size_t>(shape_.c));
  }

  /// Left padding, pixels, right padding.
  void fill_row(const uint8_t* row, uint8_t* to) const {
    const int64_t bytes = plan_.image().row_bytes;
    if (row == nullptr) {
      std::memset(to, fill_, static_cast<size_t>(bytes));
      return;
    }
    const int64_t left = std::min(shape_.pad_left * shape_.c, bytes),
                  middle = std::min(shape_.w * shape_.c, bytes - left);
    std::memset(to, fill_, static_cast<size_t>(left));
    for_each_run(row, middle, [&](const uint8_t* from, int64_t at, int64_t size) {
      std::memcpy(to + left + at, from, static_cast<size_t>(size));
    });
    std::memset(to + left + middle, fill_, static_cast<size_t>(bytes - left - middle));
  }

  /// Calls f(source, index of its first byte, bytes) for runs that make up a row's first `bytes`: whole
  /// pixels, but for the last.
  template <class F>
  void for_each_run(const uint8_t* row, int64_t bytes, F&& f) const {
    const int64_t apart = shape_.src_pixel(), run = apart == shape_.c ? bytes : shape_.c;
    for (int64_t at = 0; at < bytes; at += run, row += apart) f(row, at, std::min(run, bytes - at));
  }

  void fill_wide_row(const uint8_t* row, int16_t* to) const {
    const int64_t count = plan_.image().row_bytes / 2;
    const auto fill = static_cast<int16_t>(fill_);
    if (row == nullptr) {
      std::fill_n(to, count, fill);
      return;
    }
    const int64_t left = std::min(shape_.pad_left * shape_.c, count),
                  middle = std::min(shape_.w * shape_.c, count - left);
    std::fill_n(to, left, fill);
    for_each_run(row, middle, [&](const uint8_t* from, int64_t at, int64_t bytes) {
      widen_(is_signed_, from, bytes, to + left + at);
    });
    std::fill_n(to + left + middle, count - left - middle, fill);
  }

  ConvShape shape_;
  std::shared_ptr<const S8Packed> packed_;
  void (*task_)(const S8Args& args, const ConvRange& range);
  void (*widen_)(bool is_signed, const uint8_t* from, int64_t count, int16_t* to);
  bool is_signed_;
  int fill_;
  std::shared_ptr<const ByteFunction> function_;  // what finish_ points at
  S8Finish finish_;
  Interleave interleave_;
  ConvWalkPlan plan_;
  AlignedBuffer largest_;
};

template <const S8Isa& kIsa>
ConvCandidate candidate() {
  return {kIsa.name,
          kIsa.isa,
          [](const ConvSpec& spec) {
            std::string reason = s8_unsupported(spec);
            return reason.empty() && kIsa.refuses != nullptr ? kIsa.refuses(spec) : reason;
          },
          [](const ConvSpec& spec, const ConvWeights& weights) -> std::shared_ptr<const PackedWeights> {
            return std::make_shared<S8Packed>(spec, weights, kIsa.tile);
          },
          [](const ConvSpec& spec, std::shared_ptr<const PackedWeights> packed,
             int threads) -> std::unique_ptr<ConvKernel> {
            return std::make_unique<S8Conv>(spec, std::static_pointer_cast<const S8Packed>(std::move(packed)),
                                            kIsa, threads);
          },
          {[](const ConvSpec& spec) { return s8_stored_sizes(spec, kIsa.tile); },
           [](const ConvSpec& spec, std::span<const AlignedBuffer> parts, std::byte* weights) {
             s8_unpack(spec, kIsa.tile, parts, weights);
           },
           s8_unsupported_shape}};
}

}  // namespace

ConvCandidate conv_int8_amx() { return candidate<kAmx>(); }
ConvCandidate conv_int8_avx512vnni() { return candidate<kVnni>(); }
ConvCandidate conv_int8_avx2vnni() { return candidate<kAvxVnni>(); }
ConvCandidate conv_int8_bytes_avx2() { return candidate<kAvx2Bytes>(); }
ConvCandidate conv_int8_avx2() { return candidate<kAvx2>(); }
ConvCandidate conv_int8_plain() { return candidate<kPlain>(); }

}  // namespace narrow::kernels
