// dwconv_half_avx512: depthwise, bf16 or f16 source, any float weights, FP32 sums, anything out.
#include "kernels/conv/dw_half.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/conv/conv_clamp.h"
#include "kernels/conv/dw_split.h"

namespace narrow::kernels {
namespace {

struct Packed : PackedWeights {
  AlignedBuffer weights, bias;  // [chunk][kh][kw][32], [chunk][32]
  int64_t bytes() const override { return weights.bytes() + bias.bytes(); }
};

float weight_as_float(DType type, const void* weights, int64_t i) {
  if (type == DType::f32) return static_cast<const float*>(weights)[i];
  if (type == DType::bf16) return static_cast<float>(static_cast<const bf16*>(weights)[i]);
  return static_cast<float>(static_cast<const f16*>(weights)[i]);
}

std::string unsupported(const ConvSpec& spec) {
  const auto half = [](DType t) { return t == DType::bf16 || t == DType::f16; };
  const auto stored = [&](DType t) { return half(t) || t == DType::f32 || is_int8(t); };
  if (!spec.shape.is_depthwise())
    return fmt::format("groups = {}, c = {}, oc = {}: wants depthwise", spec.shape.groups, spec.shape.c,
                       spec.shape.oc);
  if (!half(spec.src)) return fmt::format("src is {}: wants bf16 or f16", to_string(spec.src));
  if (!half(spec.weights) && spec.weights != DType::f32)
    return fmt::format("weights are {}: wants f32, bf16 or f16", to_string(spec.weights));
  if (!stored(spec.dst)) return fmt::format("dst is {}", to_string(spec.dst));
  return {};
}

/// Where channel c lies in its chunk: even channels before odd ones for bf16, as dw_half_avx512 widens them.
int64_t lane_of(DType src, int64_t c) {
  const int64_t in_chunk = c % kDwHalfChunk;
  return src == DType::bf16 ? in_chunk % 2 * 16 + in_chunk / 2 : in_chunk;
}

std::shared_ptr<const PackedWeights> pack(const ConvSpec& spec, const ConvWeights& weights) {
  const ConvShape& s = spec.shape;
  const int64_t taps = s.kh * s.kw, padded = round_up(s.c, kDwHalfChunk);
  auto packed = std::make_shared<Packed>();
  packed->weights = AlignedBuffer::zeroed(padded * taps * 4);
  packed->bias = AlignedBuffer::zeroed(padded * 4);
  auto* out = packed->weights.as<float>();
  for (int64_t c = 0; c < s.c; ++c) {
    const int64_t chunk = c / kDwHalfChunk, lane = lane_of(spec.src, c);
    for (int64_t tap = 0; tap < taps; ++tap)
      out[(chunk * taps + tap) * kDwHalfChunk + lane] =
          weight_as_float(spec.weights, weights.weights, c * taps + tap);
    if (spec.bias)
      packed->bias.as<float>()[chunk * kDwHalfChunk + lane] = static_cast<const float*>(weights.bias)[c];
  }
  return packed;
}

DwHalfPlan make_plan(const ConvSpec& spec, const Packed& packed) {
  const ConvShape& s = spec.shape;
  DwHalfPlan p;
  static_cast<DwWindow&>(p) = dw_window(s);
  p.src_type = spec.src;
  p.dst_type = spec.dst;
  p.residual_type = spec.residual;
  p.dst_quant = spec.dst_quant;
  p.residual_quant = spec.residual_quant;
  p.low = integer_bounds(spec).low;
  p.high = integer_bounds(spec).high;
  p.activation = as_clip(spec.activation);
  p.weights = packed.weights.as<float>();
  p.bias = packed.bias.as<float>();
  return p;
}

/// Channels a task walks over before it goes on to the next outputs: lines of a pixel one after the other,
/// as long as their weights stay in L1.
int64_t channels_of(const ConvShape& s, int threads) {
  constexpr int64_t kWeightBytes = 12 << 10;
  if (!DwSplit::deals_rows(s, threads)) return kDwHalfChunk;
  return std::clamp(kWeightBytes / (s.kh * s.kw * kDwHalfChunk * 4) * kDwHalfChunk, kDwHalfChunk,
                    round_up(s.c, kDwHalfChunk));
}

class Kernel : public ConvKernel {
 public:
  Kernel(const ConvSpec& spec, std::shared_ptr<const Packed> packed, int threads)
      : packed_(std::move(packed)),
        plan_(make_plan(spec, *packed_)),
        channels_(channels_of(spec.shape, threads)),
        split_(spec.shape, channels_, 1, threads) {}

  int64_t scratch_bytes() const override { return 0; }

  void run(const ConvBuffers& buffers, ThreadPool& pool) const override {
    pool.run(split_.tasks(), [&](int64_t index) {
      split_.for_each_strip(index, [&](const DwStrip& strip) {
        dw_half_avx512(plan_, {.src = buffers.src,
                               .residual = buffers.residual,
                               .dst = buffers.dst,
                               .image = strip.image,
                               .channel_begin = strip.channel,
                               .channel_end = strip.channel + channels_,
                               .column_begin = strip.column_begin,
                               .column_end = strip.column_end,
                               .row_begin = strip.row_begin,
                               .row_end = strip.row_end});
      });
    });
  }

 private:
  std::shared_ptr<const Packed> packed_;
  DwHalfPlan plan_;
  int64_t channels_;
  DwSplit split_;
};

std::unique_ptr<ConvKernel> create(const ConvSpec& spec, std::shared_ptr<const PackedWeights> packed,
                                   int threads) {
  return std::make_unique<Kernel>(spec, std::static_pointer_cast<const Packed>(std::move(packed)), threads);
}

}  // namespace

ConvCandidate dwconv_half_avx512() { return {"dwconv_half_avx512", Isa::avx512, unsupported, pack, create}; }

}  // namespace narrow::kernels
