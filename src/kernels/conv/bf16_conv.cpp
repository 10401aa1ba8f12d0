// Convolutions by products of bf16 numbers with FP32 accumulation, anything out.
//
// conv_bf16_amx, conv_bf16_avx512bf16: bf16 weights, bf16 or f32 source; the latter takes groups, one after
// the other. conv_f16_amx: f16 weights and source, each number as two bf16 numbers (bf16_task.h).
//
// The products treat subnormal numbers as zero, in and out; a bf16 result below 2^-126 is stored as zero. f16
// numbers and their parts are none there. An infinite f16 input makes the sum NaN, which f16 arithmetic
// leaves infinite as long as no other term is infinite or zero times infinite.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/aligned.h"
#include "fmt/format.h"
#include "kernels/conv/bf16_layout.h"
#include "kernels/conv/bf16_task.h"
#include "kernels/conv/conv_clamp.h"
#include "kernels/conv/walk_plan.h"
#include "numerics/bf16.h"
#include "numerics/fp16.h"

namespace narrow::kernels {
namespace {

struct Bf16Isa {
  const char* name;
  Isa isa;
  int64_t rows;  // positions of a block
  void (*task)(const Bf16Args& args, const ConvRange& range);
};

constexpr Bf16Isa kAmx{"conv_bf16_amx", Isa::amx, 32, bf16_task_amx};
constexpr Bf16Isa kAmxSplit{"conv_f16_amx", Isa::amx, 32, bf16_task_amx};
constexpr Bf16Isa kVectors{"conv_bf16_avx512bf16", Isa::avx512_bf16, 14, bf16_task_avx512bf16};

struct Packed : PackedWeights {
  Bf16K k;
  AlignedBuffer weights;  // [group][outputs/32][tap][step][2][k_block/2][16][2]
  AlignedBuffer bias;     // [group][outputs rounded up to 32] f32
  int64_t bytes() const override { return weights.bytes() + bias.bytes(); }
  std::vector<std::span<const std::byte>> stored() const override {
    return {{weights.data(), static_cast<size_t>(weights.bytes())}};
  }
};

bool is_split(const ConvSpec& spec) { return spec.weights == DType::f16; }
int64_t planes_of(const ConvSpec& spec) { return is_split(spec) ? 2 : 1; }

bool is_stored(DType type) {
  return is_int8(type) || type == DType::f32 || type == DType::bf16 || type == DType::f16;
}

std::string unsupported_groups(const ConvSpec& spec) {
  return spec.shape.groups == 1 ? "" : fmt::format("groups = {}: wants 1", spec.shape.groups);
}

std::string unsupported(const ConvSpec& spec) {
  if (spec.weights != DType::bf16) return fmt::format("weights are {}: wants bf16", to_string(spec.weights));
  if (spec.src != DType::bf16 && spec.src != DType::f32)
    return fmt::format("src is {}: wants bf16 or f32", to_string(spec.src));
  if (!is_stored(spec.dst)) return fmt::format("dst is {}", to_string(spec.dst));
  return {};
}

std::string unsupported_amx(const ConvSpec& spec) {
  const std::string reason = unsupported(spec);
  return reason.empty() ? unsupported_groups(spec) : reason;
}

/// Groups of odd numbers of channels are copied, one by one, which is slower than FP32 vectors on few.
std::string unsupported_dots(const ConvSpec& spec) {
  constexpr int64_t kFewest = 16;
  const int64_t channels = spec.shape.c / spec.shape.groups;
  if (spec.shape.groups > 1 && channels % 2 != 0 && channels < kFewest)
    return fmt::format("groups of {} channels: wants an even number or at least {}", channels, kFewest);
  return unsupported(spec);
}

/// Files keep no groups: padded to whole panels they may be twice as large.
std::string unsupported_stored(const ConvSpec& spec) {
  if (spec.weights != DType::bf16) return fmt::format("weights are {}: wants bf16", to_string(spec.weights));
  return unsupported_groups(spec);
}

std::string unsupported_f16(const ConvSpec& spec) {
  for (const auto& [name, type] : {std::pair{"weights are", spec.weights}, std::pair{"src is", spec.src}})
    if (type != DType::f16) return fmt::format("{} {}: wants f16", name, to_string(type));
  if (!is_stored(spec.dst)) return fmt::format("dst is {}", to_string(spec.dst));
  return unsupported_groups(spec);
}

/// Of a group.
int64_t panels_of(const ConvShape& s) { return div_up(s.oc / s.groups, 32); }

/// Calls f(at, index) for every element of the packed weights: index of its weight in [oc][c][kh][kw], -1 for
/// padding; c of a group.
template <class F>
void for_each_element(const ConvShape& s, const Bf16K& k, F&& f) {
  const int64_t group_c = s.c / s.groups, outputs = s.oc / s.groups, depth = group_c * s.kh * s.kw;
  int64_t at = 0;
  for (int64_t panel = 0; panel < s.groups * panels_of(s); ++panel)
    for (int64_t step = 0; step < k.steps(); ++step) {
      const int64_t tap = step / k.steps_per_tap, group = panel / panels_of(s);
      for (int64_t tile = 0; tile < 2; ++tile)
        for (int64_t pair = 0; pair < k.k_block / 2; ++pair) {
          const int64_t e0 = step % k.steps_per_tap * k.k_block + 2 * pair;
          int64_t weight[2];
          for (int64_t half = 0; half < 2; ++half) {
            const int64_t e = e0 + half, c = e % k.stored_c;
            const int64_t i = k.merged ? tap : tap / s.kw, j = k.merged ? e / k.stored_c : tap % s.kw;
            weight[half] = c < group_c ? (c * s.kh + i) * s.kw + j : -1;
          }
          for (int64_t column = 0; column < 16; ++column) {
            const int64_t o = panel % panels_of(s) * 32 + tile * 16 + column;
            for (const int64_t w : weight)
              f(at++, o < outputs && w >= 0 ? (group * outputs + o) * depth + w : -1);
          }
        }
    }
}

std::vector<int64_t> stored_sizes(const ConvSpec& spec) {
  return {spec.shape.groups * panels_of(spec.shape) * bf16_k(spec.shape).panel_elements() * 2};
}

void unpack(const ConvSpec& spec, std::span<const AlignedBuffer> parts, std::byte* weights) {
  const auto* packed = parts[0].as<uint16_t>();
  auto* out = reinterpret_cast<uint16_t*>(weights);
  for_each_element(spec.shape, bf16_k(spec.shape), [&](int64_t at, int64_t index) {
    if (index >= 0) out[index] = packed[at];
  });
}

/// A step's high parts, then its low parts.
void pack_split(const ConvSpec& spec, const f16* in, Packed& packed) {
  const int64_t step = packed.k.k_block * 32;
  packed.weights = AlignedBuffer(2 * stored_sizes(spec)[0]);
  auto* out = packed.weights.as<bf16>();
  for_each_element(spec.shape, packed.k, [&](int64_t at, int64_t index) {
    const float x = index >= 0 ? static_cast<float>(in[index]) : 0.0F;
    const bf16 high(x);
    bf16* to = out + at / step * 2 * step + at % step;
    to[0] = high;
    to[step] = bf16(std::isinf(x) ? 0.0F : x - static_cast<float>(high));
  });
}

std::shared_ptr<const PackedWeights> pack(const ConvSpec& spec, const ConvWeights& weights) {
  auto packed = std::make_shared<Packed>();
  packed->k = bf16_k(spec.shape);
  if (is_split(spec)) {
    pack_split(spec, static_cast<const f16*>(weights.weights), *packed);
  } else if (weights.stored.empty()) {
    packed->weights = AlignedBuffer(stored_sizes(spec)[0]);
    auto* out = packed->weights.as<uint16_t>();
    const auto* in = static_cast<const uint16_t*>(weights.weights);
    for_each_element(spec.shape, packed->k,
                     [&](int64_t at, int64_t index) { out[at] = index >= 0 ? in[index] : uint16_t{0}; });
  } else {
    packed->weights = weights.stored[0].share();
  }
  const int64_t groups = spec.shape.groups, outputs = spec.shape.oc / groups,
                padded = panels_of(spec.shape) * 32;
  packed->bias = AlignedBuffer::zeroed(groups * padded * 4);
  for (int64_t g = 0; spec.bias && g < groups; ++g)
    std::copy_n(static_cast<const float*>(weights.bias) + g * outputs, outputs,
                packed->bias.as<float>() + g * padded);
  return packed;
}

Bf16Finish make_finish(const ConvSpec& spec, const Packed& packed) {
  Bf16Finish f;
  f.bias = packed.bias.as<float>();
  f.dst_type = spec.dst;
  f.residual_type = spec.residual;
  f.dst_quant = spec.dst_quant;
  f.residual_quant = spec.residual_quant;
  f.activation = as_clip(spec.activation);
  const IntegerBounds bounds = integer_bounds(spec);
  f.low = bounds.low;
  f.high = bounds.high;
  return f;
}

/// The shape of what the walk reads: pixels of stored_c bf16 per group.
ConvShape in_bytes(ConvShape shape, const Bf16K& k) {
  shape.c = shape.groups * k.stored_c * 2;
  shape.src_pitch *= 2;
  return shape;
}

class Kernel : public ConvKernel, private ConvWalker {
 public:
  Kernel(const ConvSpec& spec, std::shared_ptr<const Packed> packed, const Bf16Isa& isa, int threads)
      : shape_(spec.shape),
        src_(spec.src),
        packed_(std::move(packed)),
        task_(isa.task),
        config_(bf16_config(packed_->k.k_block)),
        finish_(make_finish(spec, *packed_)),
        split_(is_split(spec)),
        plan_(in_bytes(shape_, packed_->k), bf16_layout(shape_, packed_->k, planes_of(spec), isa.rows),
              shape_.is_pointwise() && src_ == DType::bf16 && packed_->k.stored_c * shape_.groups == shape_.c,
              threads) {}

  int64_t scratch_bytes() const override { return plan_.scratch_bytes(); }
  WeightStream weights() const override { return plan_.stream(packed_->weights.data()); }

  void run(const ConvBuffers& buffers, ThreadPool& pool) const override {
    plan_.run(*this, buffers, packed_->weights.data(), pool);
  }

 private:
  void multiply(const ConvBuffers& buffers, const ConvWalk& walk, const ConvRange& range) const override {
    Bf16Finish finish = finish_;
    finish.residual = buffers.residual;
    finish.dst = buffers.dst;
    task_({walk, config_.data(), split_, finish}, range);
  }

  void copy_row(const void* src, int64_t n, int64_t y, uint8_t* to) const override {
    fill_row(src, source_row(shape_, n, y), to);
  }

  void fill_row(const void* src, int64_t index, uint8_t* to) const {
    Bf16Row row{.type = src_,
                .groups = shape_.groups,
                .c = shape_.c / shape_.groups,
                .stored_c = packed_->k.stored_c,
                .src_pixel = shape_.src_pixel()};
    row.plane = plan_.plane_bytes() / 2;
    row.total = plan_.image().row_bytes / (2 * row.groups * row.stored_c);
    row.left = std::min(shape_.pad_left, row.total);
    row.count = std::min(shape_.w, row.total - row.left);
    if (index >= 0 && row.count > 0)
      row.src = static_cast<const char*>(src) + index * shape_.w * row.src_pixel * bytes_of(src_);
    bf16_copy_row(row, reinterpret_cast<uint16_t*>(to));
  }

  ConvShape shape_;
  DType src_;
  std::shared_ptr<const Packed> packed_;
  void (*task_)(const Bf16Args& args, const ConvRange& range);
  std::array<uint8_t, 64> config_;
  Bf16Finish finish_;
  bool split_;
  ConvWalkPlan plan_;
};

template <const Bf16Isa& kIsa>
std::unique_ptr<ConvKernel> create(const ConvSpec& spec, std::shared_ptr<const PackedWeights> packed,
                                   int threads) {
  return std::make_unique<Kernel>(spec, std::static_pointer_cast<const Packed>(std::move(packed)), kIsa,
                                  threads);
}

/// Of weights in the order that both instruction sets read.
constexpr ConvStorage kStorage{stored_sizes, unpack, unsupported_stored};

std::string dots_are_slow() {
  return cpu_features().fast_bf16_dots ? "" : "vdpbf16ps is slower than FP32 vectors on this processor";
}

}  // namespace

ConvCandidate conv_bf16_amx() { return {kAmx.name, kAmx.isa, unsupported_amx, pack, create<kAmx>, kStorage}; }

ConvCandidate conv_bf16_avx512bf16() {
  return {kVectors.name, kVectors.isa, unsupported_dots, pack, create<kVectors>, kStorage, dots_are_slow};
}

/// Packed anew at each start: the two parts take twice the bytes of the weights.
ConvCandidate conv_f16_amx() {
  return {kAmxSplit.name, kAmxSplit.isa, unsupported_f16, pack, create<kAmxSplit>};
}

}  // namespace narrow::kernels
