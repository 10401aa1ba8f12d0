// dwconv_int8_avx512vnni, dwconv_int8_avx2: depthwise, u8 or s8 source, s8 weights, anything out. Integers
// leave bit for bit as kernels/requantize.h says.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>

#include "kernels/conv/conv_clamp.h"
#include "kernels/conv/dw_int8.h"
#include "kernels/conv/dw_split.h"
#include "kernels/requantize.h"

namespace narrow::kernels {

DwInt8Finish dw_int8_finish(const ConvSpec& spec) {
  DwInt8Finish f;
  f.dst_type = spec.dst;
  f.residual_type = spec.residual;
  f.dst_quant = spec.dst_quant;
  f.residual_quant = spec.residual_quant;
  f.low = factor_bounds(spec).low;
  f.high = factor_bounds(spec).high;
  f.function = spec.function.get();
  f.clamps = is_one_factor(spec) && spec.residual == DType::undefined;
  f.activation = spec.activation;
  if (is_one_factor(spec)) {  // in units of dst's scale, where bounds are low and high
    f.activation = {};
    f.dst_quant = {1, factor_zero(spec)};
    f.residual_quant.scale = residual_multiplier(spec);
  }
  return f;
}

DwInt8Task dw_int8_task(const ConvBuffers& buffers, const DwStrip& strip, void* buffer) {
  return {.src = static_cast<const uint8_t*>(buffers.src),
          .residual = buffers.residual,
          .dst = buffers.dst,
          .image = strip.image,
          .channel = strip.channel,
          .column_begin = strip.column_begin,
          .column_end = strip.column_end,
          .row_begin = strip.row_begin,
          .row_end = strip.row_end,
          .buffer = buffer};
}

bool dw_int8_is_lean(const ConvSpec& spec, const ConvWeights& weights) {
  const DwInt8Finish f = dw_int8_finish(spec);
  if (!f.clamps || f.function != nullptr || spec.dst != DType::u8 || f.dst_quant.zero_point != 0 ||
      f.low != 0 || f.high != 255)
    return false;
  const int64_t taps = spec.shape.kh * spec.shape.kw,
                zero = spec.src_quant.zero_point + (spec.src == DType::s8 ? 128 : 0);
  for (int64_t c = 0; c < spec.shape.c; ++c) {
    int64_t sum = 0, most = 0;
    for (int64_t i = 0; i < taps; ++i) {
      const int64_t w = static_cast<const int8_t*>(weights.weights)[c * taps + i];
      sum += w;
      most += 255 * std::abs(w);
    }
    const int64_t bias = spec.bias ? static_cast<const int32_t*>(weights.bias)[c] : 0;
    const float scale = spec.weight_scale[spec.weight_scale.size() == 1 ? 0 : static_cast<size_t>(c)];
    const double multiplier =
        requantize_factor(static_cast<double>(spec.src_quant.scale) * scale / spec.dst_quant.scale);
    // A sum that wrapped may be any integer.
    const auto sums = static_cast<double>(most + std::abs(bias - zero * sum));
    if (sums >= 0x1p31 || sums * std::fabs(multiplier) >= 0x1p30) return false;
  }
  return true;
}

namespace {

using Run = void (*)(const DwInt8Plan&, const DwInt8Task&);

/// What differs between instruction sets.
struct Variant {
  int64_t chunk, rows;               // channels per chunk, kernel rows per 32-bit lane
  int64_t (*lane)(int64_t channel);  // where a chunk's channel lies after interleaving
  bool corrects_zero;                // the source keeps its zero point; bias takes it off
  Run run;
};

constexpr Variant kVnni{kDwInt8ChunkVnni, kDwInt8RowsVnni,
                        [](int64_t c) { return c % 16 / 4 * 16 + c / 16 * 4 + c % 4; }, true,
                        dw_int8_avx512vnni};
constexpr Variant kAvx2{kDwInt8ChunkAvx2, kDwInt8RowsAvx2,
                        [](int64_t c) { return c % 8 / 4 * 8 + c / 8 * 4 + c % 4; }, false, dw_int8_avx2};

struct Packed : PackedWeights {
  AlignedBuffer weights, bias, multiplier, scale;  // as in DwInt8Plan
  int64_t bytes() const override {
    return weights.bytes() + bias.bytes() + multiplier.bytes() + scale.bytes();
  }
};

std::string unsupported(const ConvSpec& spec) {
  const auto stored = [](DType t) {
    return t == DType::bf16 || t == DType::f16 || t == DType::f32 || is_int8(t);
  };
  if (!spec.shape.is_depthwise())
    return fmt::format("groups = {}, c = {}, oc = {}: wants depthwise", spec.shape.groups, spec.shape.c,
                       spec.shape.oc);
  if (!is_int8(spec.src)) return fmt::format("src is {}: wants u8 or s8", to_string(spec.src));
  if (spec.weights != DType::s8) return fmt::format("weights are {}: wants s8", to_string(spec.weights));
  if (!stored(spec.dst)) return fmt::format("dst is {}", to_string(spec.dst));
  for (const auto& [type, quant] :
       {std::pair{spec.src, spec.src_quant}, std::pair{spec.dst, spec.dst_quant}}) {
    const int32_t low = type == DType::u8 ? 0 : -128;
    if (is_int8(type) && (quant.zero_point < low || quant.zero_point > low + 255))
      return fmt::format("zero point {} lies outside {}", quant.zero_point, to_string(type));
  }
  return {};
}

/// The weights of channel c of `taps` [kh][kw] into its lane; returns their sum.
int32_t pack_channel(const ConvShape& s, const Variant& v, const int8_t* taps, int64_t c, Packed& packed) {
  const int64_t groups = div_up(s.kh, v.rows), lane = v.lane(c % v.chunk);
  int32_t sum = 0;
  for (int64_t i = 0; i < s.kh; ++i)
    for (int64_t j = 0; j < s.kw; ++j) {
      const int8_t w = taps[i * s.kw + j];
      const int64_t at =
          (((c / v.chunk * s.kw + j) * groups + i / v.rows) * v.chunk + lane) * v.rows + i % v.rows;
      if (v.rows == 4)
        packed.weights.as<int8_t>()[at] = w;
      else
        packed.weights.as<int16_t>()[at] = static_cast<int16_t>(int{w});
      sum += w;
    }
  return sum;
}

std::shared_ptr<const PackedWeights> pack(const ConvSpec& spec, const ConvWeights& weights,
                                          const Variant& v) {
  const ConvShape& s = spec.shape;
  const int64_t padded = round_up(s.c, v.chunk);
  auto packed = std::make_shared<Packed>();
  packed->weights = AlignedBuffer::zeroed(padded * s.kw * div_up(s.kh, v.rows) * 4);
  for (AlignedBuffer* b : {&packed->bias, &packed->multiplier, &packed->scale})
    *b = AlignedBuffer::zeroed(padded * 4);
  const int32_t zero = v.corrects_zero ? spec.src_quant.zero_point + (spec.src == DType::s8 ? 128 : 0) : 0;
  for (int64_t c = 0; c < s.c; ++c) {
    const int64_t lane = c / v.chunk * v.chunk + v.lane(c % v.chunk);
    const float scale = spec.weight_scale[spec.weight_scale.size() == 1 ? 0 : static_cast<size_t>(c)];
    const int32_t sum =
        pack_channel(s, v, static_cast<const int8_t*>(weights.weights) + c * s.kh * s.kw, c, *packed);
    const int32_t bias = spec.bias ? static_cast<const int32_t*>(weights.bias)[c] : 0;
    packed->bias.as<int32_t>()[lane] =
        static_cast<int32_t>(static_cast<uint32_t>(bias) - static_cast<uint32_t>(zero * sum));
    const auto multiplier =
        requantize_factor(static_cast<double>(spec.src_quant.scale) * scale / spec.dst_scale(c));
    packed->multiplier.as<float>()[lane] = multiplier;
    packed->scale.as<float>()[c] = is_one_factor(spec) ? multiplier : spec.src_quant.scale * scale;
  }
  return packed;
}

DwInt8Plan make_plan(const ConvSpec& spec, const Packed& packed, const Variant& v) {
  const ConvShape& s = spec.shape;
  DwInt8Plan p;
  static_cast<DwInt8Finish&>(p) = dw_int8_finish(spec);
  static_cast<DwWindow&>(p) = dw_window(s);
  p.groups = div_up(s.kh, v.rows);
  p.src_type = spec.src;
  p.src_zero = spec.src_quant.zero_point;
  p.weights = packed.weights.data();
  p.bias = packed.bias.as<int32_t>();
  p.multiplier = packed.multiplier.as<float>();
  p.scale = packed.scale.as<float>();
  return p;
}

class Kernel : public ConvKernel {
 public:
  Kernel(const ConvSpec& spec, std::shared_ptr<const Packed> packed, const Variant& v, int threads)
      : packed_(std::move(packed)),
        function_(spec.function),
        plan_(make_plan(spec, *packed_, v)),
        split_(spec.shape, v.chunk, plan_.groups * v.chunk * 4, threads),
        task_bytes_(apart(split_.columns() * plan_.groups * v.chunk * 4)),
        run_(v.run) {}

  int64_t scratch_bytes() const override { return split_.tasks() * task_bytes_; }

  void run(const ConvBuffers& buffers, ThreadPool& pool) const override {
    pool.run(split_.tasks(), [&](int64_t index) {
      void* buffer = static_cast<char*>(buffers.scratch) + index * task_bytes_;
      split_.for_each_strip(index,
                            [&](const DwStrip& strip) { run_(plan_, dw_int8_task(buffers, strip, buffer)); });
    });
  }

 private:
  std::shared_ptr<const Packed> packed_;
  std::shared_ptr<const ByteFunction> function_;  // what plan_ points at
  DwInt8Plan plan_;
  DwSplit split_;
  int64_t task_bytes_;
  Run run_;
};

template <const Variant& kVariant>
ConvCandidate candidate(const char* name, Isa isa) {
  return {name, isa, unsupported,
          [](const ConvSpec& spec, const ConvWeights& weights) { return pack(spec, weights, kVariant); },
          [](const ConvSpec& spec, std::shared_ptr<const PackedWeights> packed,
             int threads) -> std::unique_ptr<ConvKernel> {
            return std::make_unique<Kernel>(spec, std::static_pointer_cast<const Packed>(std::move(packed)),
                                            kVariant, threads);
          }};
}

}  // namespace

ConvCandidate dwconv_int8_avx512vnni() {
  return candidate<kVnni>("dwconv_int8_avx512vnni", Isa::avx512_vnni);
}
ConvCandidate dwconv_int8_avx2() { return candidate<kAvx2>("dwconv_int8_avx2", Isa::avx2); }

}  // namespace narrow::kernels
