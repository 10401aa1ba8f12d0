// conv_bf16_amx: bf16 weights, bf16 or f32 source, FP32 accumulation in AMX tiles, anything out.
//
// AMX treats subnormal numbers as zero, in and out; a bf16 result below 2^-126 is stored as zero.
#include <algorithm>
#include <array>
#include <cstring>

#include "base/aligned.h"
#include "fmt/format.h"
#include "kernels/conv/bf16_amx.h"
#include "kernels/conv/bf16_amx_layout.h"
#include "kernels/conv/conv_clamp.h"

namespace narrow::kernels {
namespace {

struct Packed : PackedWeights {
  Bf16AmxK k;
  AlignedBuffer weights;  // [oc/32][tap][step][2][k_block/2][16][2]
  AlignedBuffer bias;     // [oc rounded up to 32] f32
  int64_t bytes() const override { return weights.bytes() + bias.bytes(); }
  std::vector<std::span<const std::byte>> stored() const override {
    return {{weights.data(), static_cast<size_t>(weights.bytes())}};
  }
};

std::string unsupported_weights(const ConvSpec& spec) {
  if (spec.weights != DType::bf16) return fmt::format("weights are {}: wants bf16", to_string(spec.weights));
  if (spec.shape.groups != 1) return fmt::format("groups = {}: wants 1", spec.shape.groups);
  return {};
}

std::string unsupported(const ConvSpec& spec) {
  const bool stored =
      is_int8(spec.dst) || spec.dst == DType::f32 || spec.dst == DType::bf16 || spec.dst == DType::f16;
  if (std::string reason = unsupported_weights(spec); !reason.empty()) return reason;
  if (spec.src != DType::bf16 && spec.src != DType::f32)
    return fmt::format("src is {}: wants bf16 or f32", to_string(spec.src));
  if (!stored) return fmt::format("dst is {}", to_string(spec.dst));
  return {};
}

int64_t panels_of(const ConvShape& s) { return div_up(s.oc, 32); }

/// Calls f(at, index) for every element of the packed weights: index of its weight in [oc][c][kh][kw], -1 for
/// padding.
template <class F>
void for_each_element(const ConvShape& s, const Bf16AmxK& k, F&& f) {
  int64_t at = 0;
  for (int64_t panel = 0; panel < panels_of(s); ++panel)
    for (int64_t step = 0; step < k.steps(); ++step) {
      const int64_t tap = step / k.steps_per_tap;
      for (int64_t tile = 0; tile < 2; ++tile)
        for (int64_t pair = 0; pair < k.k_block / 2; ++pair) {
          const int64_t e0 = step % k.steps_per_tap * k.k_block + 2 * pair;
          int64_t weight[2];
          for (int64_t half = 0; half < 2; ++half) {
            const int64_t e = e0 + half, c = e % k.stored_c;
            const int64_t i = k.merged ? tap : tap / s.kw, j = k.merged ? e / k.stored_c : tap % s.kw;
            weight[half] = c < s.c ? (c * s.kh + i) * s.kw + j : -1;
          }
          for (int64_t column = 0; column < 16; ++column) {
            const int64_t o = panel * 32 + tile * 16 + column;
            for (const int64_t w : weight) f(at++, o < s.oc && w >= 0 ? o * s.c * s.kh * s.kw + w : -1);
          }
        }
    }
}

std::vector<int64_t> stored_sizes(const ConvSpec& spec) {
  return {panels_of(spec.shape) * bf16_amx_k(spec.shape).panel_elements() * 2};
}

void unpack(const ConvSpec& spec, std::span<const AlignedBuffer> parts, std::byte* weights) {
  const auto* packed = parts[0].as<uint16_t>();
  auto* out = reinterpret_cast<uint16_t*>(weights);
  for_each_element(spec.shape, bf16_amx_k(spec.shape), [&](int64_t at, int64_t index) {
    if (index >= 0) out[index] = packed[at];
  });
}

std::shared_ptr<const PackedWeights> pack(const ConvSpec& spec, const ConvWeights& weights) {
  auto packed = std::make_shared<Packed>();
  packed->k = bf16_amx_k(spec.shape);
  if (weights.stored.empty()) {
    packed->weights = AlignedBuffer(stored_sizes(spec)[0]);
    auto* out = packed->weights.as<uint16_t>();
    const auto* in = static_cast<const uint16_t*>(weights.weights);
    for_each_element(spec.shape, packed->k,
                     [&](int64_t at, int64_t index) { out[at] = index >= 0 ? in[index] : uint16_t{0}; });
  } else {
    packed->weights = weights.stored[0].share();
  }
  packed->bias = AlignedBuffer::zeroed(panels_of(spec.shape) * 32 * 4);
  if (spec.bias) std::memcpy(packed->bias.data(), weights.bias, static_cast<size_t>(spec.shape.oc) * 4);
  return packed;
}

/// How the blocks of C are dealt out: `block_parts` x `panel_parts` tasks.
struct Grid {
  int64_t blocks = 0, panels = 0, block_parts = 1, panel_parts = 1;
  int64_t group = 1;
};

/// Blocks that meet a panel before the next one is read: one while the weights stay in L2. Weights beyond
/// that come from L3 once per group: as many blocks as leave half of L2 to them.
int64_t group_of(int64_t weight_bytes, const Bf16AmxSource& source) {
  constexpr int64_t kResident = 768 << 10, kHalf = 768 << 10;
  return weight_bytes <= kResident ? 1 : std::max<int64_t>(1, kHalf / (32 * source.position_stride * 2));
}

Grid make_grid(const ConvSpec& spec, const Bf16AmxK& k, const Bf16AmxSource& source, int threads) {
  Grid g;
  g.blocks = source.images * div_up(source.positions, 32);
  g.panels = div_up(spec.shape.oc, 32);
  // The larger operand is read once, the smaller one again and again from a near cache.
  const bool panels_outside = g.panels * k.panel_elements() >= g.blocks * 32 * k.steps() * k.k_block;
  // Cycles: 16 per tile product, and about 300 to store a block. A task takes some 50 us, and no core idles.
  const int64_t cycles = g.blocks * g.panels * (k.steps() * 64 + 300);
  int64_t tasks = cycles < 10'000 ? 1 : round_up(std::max<int64_t>(cycles / 150'000, 1), threads);
  tasks = std::min<int64_t>(tasks, 16 * threads);
  g.group = group_of(g.panels * k.panel_elements() * 2, source);
  int64_t& outer = panels_outside ? g.panel_parts : g.block_parts;
  int64_t& inner = panels_outside ? g.block_parts : g.panel_parts;
  outer = panels_outside ? std::min(tasks, g.panels)
                         : std::min({tasks, g.blocks, round_up(div_up(g.blocks, g.group), threads)});
  inner = std::min(div_up(tasks, outer), panels_outside ? g.blocks : g.panels);
  if (panels_outside) g.group = g.blocks;
  return g;
}

class Kernel : public ConvKernel {
 public:
  Kernel(const ConvSpec& spec, std::shared_ptr<const Packed> packed, int threads)
      : shape_(spec.shape),
        src_(spec.src),
        packed_(std::move(packed)),
        source_(bf16_amx_source(spec.shape, packed_->k, spec.src)),
        grid_(make_grid(spec, packed_->k, source_, threads)),
        full_config_(bf16_amx_config(32, packed_->k.k_block)),
        tail_config_(bf16_amx_config((source_.positions - 1) % 32 + 1, packed_->k.k_block)) {
    describe_output(spec);
    task_.image_stride = source_.image_elements;
    task_.row_stride = source_.position_stride;
    task_.taps = source_.taps.data();
    task_.tap_count = packed_->k.taps;
    task_.steps_per_tap = packed_->k.steps_per_tap;
    task_.k_block = packed_->k.k_block;
    task_.b = packed_->weights.as<uint16_t>();
    task_.positions = source_.positions;
    task_.flat_width = source_.flat_width;
    task_.oh = source_.direct ? 1 : shape_.oh;
    task_.ow = source_.direct ? source_.positions : shape_.ow;
    task_.group = grid_.group;
    task_.full_config = full_config_.data();
    task_.tail_config = tail_config_.data();
  }

  int64_t scratch_bytes() const override { return source_.scratch_bytes(); }

  void run(const ConvBuffers& buffers, ThreadPool& pool) const override {
    if (!source_.direct) copy_source(buffers, pool);
    pool.run(grid_.block_parts * grid_.panel_parts, [&](int64_t index) {
      Bf16AmxTask task = task_;
      task.a = static_cast<const uint16_t*>(source_.direct ? buffers.src : buffers.scratch);
      task.out.residual = buffers.residual;
      task.out.dst = buffers.dst;
      const int64_t part = index / grid_.panel_parts, slice = index % grid_.panel_parts;
      task.block_begin = grid_.blocks * part / grid_.block_parts;
      task.block_end = grid_.blocks * (part + 1) / grid_.block_parts;
      task.panel_begin = grid_.panels * slice / grid_.panel_parts;
      task.panel_end = grid_.panels * (slice + 1) / grid_.panel_parts;
      bf16_amx_compute(task);
    });
  }

 private:
  void describe_output(const ConvSpec& spec) {
    Bf16AmxOutput& out = task_.out;
    out.bias = packed_->bias.as<float>();
    out.dst_type = spec.dst;
    out.residual_type = spec.residual;
    out.dst_quant = spec.dst_quant;
    out.residual_quant = spec.residual_quant;
    out.activation = as_clip(spec.activation);
    out.oc = spec.shape.oc;
    const IntegerBounds bounds = integer_bounds(spec);
    out.low = bounds.low;
    out.high = bounds.high;
  }

  /// Fills scratch with the zero-padded source in bf16, rows dealt out to the team.
  void copy_source(const ConvBuffers& buffers, ThreadPool& pool) const {
    const int64_t rows_per_image = shape_.stride_h * source_.rows_per_set,
                  rows = source_.images * rows_per_image;
    const int64_t grain = std::max<int64_t>(1, 16'384 / source_.row_elements);
    auto* scratch = static_cast<uint16_t*>(buffers.scratch);
    parallel_for(pool, rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        copy_row(buffers.src, scratch, r / rows_per_image, r % rows_per_image);
    });
  }

  void copy_row(const void* src, uint16_t* scratch, int64_t image, int64_t stored_row) const {
    const ConvShape& s = shape_;
    const Bf16AmxK& k = packed_->k;
    const int64_t set = stored_row / source_.rows_per_set;
    const int64_t y = stored_row % source_.rows_per_set * s.stride_h + set - s.pad_top;
    uint16_t* dst = scratch + image * source_.image_elements + stored_row * source_.row_elements;
    Bf16AmxRow row{
        .src_is_f32 = src_ == DType::f32, .c = s.c, .stored_c = k.stored_c, .pixel_step = source_.pixel_step};
    row.total = source_.flat_width * source_.column_stride;
    // Stored column X is source column X * pixel_step - pad_left.
    row.left = std::min(div_up(s.pad_left, row.pixel_step), row.total);
    const int64_t first = row.left * row.pixel_step - s.pad_left;
    row.count = std::clamp<int64_t>(div_up(s.w - first, row.pixel_step), 0, row.total - row.left);
    if (y >= 0 && y < s.h && row.count > 0)
      row.src = static_cast<const char*>(src) + ((image * s.h + y) * s.w + first) * s.c * bytes_of(src_);
    bf16_amx_copy_row(row, dst);
    if (stored_row + 1 < s.stride_h * source_.rows_per_set) return;
    // The zeros after the last row.
    const int64_t used = (stored_row + 1) * source_.row_elements;
    std::memset(dst + source_.row_elements, 0, static_cast<size_t>(source_.image_elements - used) * 2);
  }

  ConvShape shape_;
  DType src_;
  std::shared_ptr<const Packed> packed_;
  Bf16AmxSource source_;
  Grid grid_;
  std::array<uint8_t, 64> full_config_, tail_config_;
  Bf16AmxTask task_;
};

std::unique_ptr<ConvKernel> create(const ConvSpec& spec, std::shared_ptr<const PackedWeights> packed,
                                   int threads) {
  return std::make_unique<Kernel>(spec, std::static_pointer_cast<const Packed>(std::move(packed)), threads);
}

}  // namespace

ConvCandidate conv_bf16_amx() {
  return {"conv_bf16_amx", Isa::amx, unsupported, pack, create, {stored_sizes, unpack, unsupported_weights}};
}

}  // namespace narrow::kernels
