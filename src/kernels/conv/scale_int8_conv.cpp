// dwconv_int8_1x1_*: u8 or s8 source, s8 weights, integers out, clamp-like activation. Bit for bit
// as kernels/requantize.h says.
#include <fmt/format.h>

#include "base/aligned.h"
#include "kernels/conv/conv_clamp.h"
#include "kernels/conv/scale_int8.h"
#include "kernels/requantize.h"

namespace narrow::kernels {
namespace {

struct ScaleIsa {
  const char* name;
  Isa isa;
  int64_t chunk;
  void (*task)(const ScaleInt8Plan& plan, const uint8_t* src, uint8_t* dst, int64_t begin, int64_t end);
};

constexpr ScaleIsa kAvx512{"dwconv_int8_1x1_avx512vnni", Isa::avx512_vnni, kScaleInt8ChunkAvx512,
                           scale_int8_avx512vnni};
constexpr ScaleIsa kAvx2{"dwconv_int8_1x1_avx2", Isa::avx2, kScaleInt8ChunkAvx2, scale_int8_avx2};

struct Packed : PackedWeights {
  AlignedBuffer weights, bias, multiplier;  // as in ScaleInt8Plan
  int64_t bytes() const override { return weights.bytes() + bias.bytes() + multiplier.bytes(); }
};

std::string unsupported(const ConvSpec& spec) {
  if (!spec.shape.is_depthwise())
    return fmt::format("groups = {}, c = {}, oc = {}: wants depthwise", spec.shape.groups, spec.shape.c,
                       spec.shape.oc);
  if (!spec.shape.is_pointwise())
    return fmt::format("window = {} x {}: wants 1 x 1, no stride, no padding", spec.shape.kh, spec.shape.kw);
  if (!is_int8(spec.src) || !is_int8(spec.dst))
    return fmt::format("{} to {}: wants u8 or s8", to_string(spec.src), to_string(spec.dst));
  if (spec.weights != DType::s8) return fmt::format("weights are {}: wants s8", to_string(spec.weights));
  if (spec.residual != DType::undefined) return "has a residual";
  if (!spec.activation.is_clamp()) return "the activation is no clamp";
  for (const auto& [type, quant] :
       {std::pair{spec.src, spec.src_quant}, std::pair{spec.dst, spec.dst_quant}}) {
    const int32_t low = type == DType::u8 ? 0 : -128;
    if (quant.zero_point < low || quant.zero_point > low + 255)
      return fmt::format("zero point {} lies outside {}", quant.zero_point, to_string(type));
  }
  return {};
}

std::shared_ptr<const PackedWeights> pack(const ConvSpec& spec, const ConvWeights& given, int64_t chunk) {
  const int64_t padded = round_up(spec.shape.c, chunk);
  auto packed = std::make_shared<Packed>();
  packed->weights = AlignedBuffer::zeroed(padded * 4);
  packed->bias = AlignedBuffer::zeroed(padded * 4);
  packed->multiplier = AlignedBuffer::zeroed(padded * 4);
  const int32_t zero = spec.src_quant.zero_point + (spec.src == DType::s8 ? 128 : 0);
  for (int64_t c = 0; c < spec.shape.c; ++c) {
    const int64_t lane = c / chunk * chunk + c % 4 * (chunk / 4) + c % chunk / 4;
    const int8_t weight = static_cast<const int8_t*>(given.weights)[c];
    const int32_t bias = spec.bias ? static_cast<const int32_t*>(given.bias)[c] : 0;
    const float scale = spec.weight_scale[spec.weight_scale.size() == 1 ? 0 : static_cast<size_t>(c)];
    packed->weights.as<int8_t>()[lane * 4 + c % 4] = weight;
    packed->bias.as<int32_t>()[lane] =
        static_cast<int32_t>(static_cast<uint32_t>(bias) - static_cast<uint32_t>(zero * weight));
    packed->multiplier.as<float>()[lane] =
        requantize_factor(static_cast<double>(spec.src_quant.scale) * scale / spec.dst_quant.scale);
  }
  return packed;
}

class Kernel : public ConvKernel {
 public:
  Kernel(const ConvSpec& spec, std::shared_ptr<const Packed> packed, const ScaleIsa& isa, int threads)
      : packed_(std::move(packed)), task_(isa.task), pixels_(spec.shape.n * spec.shape.h * spec.shape.w) {
    plan_.channels = spec.shape.c;
    plan_.src_pixel = spec.shape.src_pixel();
    plan_.dst_pixel = spec.shape.dst_pixel();
    plan_.src_type = spec.src;
    plan_.dst_type = spec.dst;
    plan_.zero_point = spec.dst_quant.zero_point;
    plan_.low = integer_bounds(spec).low;
    plan_.high = integer_bounds(spec).high;
    plan_.weights = packed_->weights.data();
    plan_.bias = packed_->bias.as<int32_t>();
    plan_.multiplier = packed_->multiplier.as<float>();
    // 64 channels take some 6 ns (AVX-512): about 20 us a task; too little for the team's wake-up stays on
    // one thread.
    const int64_t vectors = pixels_ * div_up(spec.shape.c, 64);
    tasks_ = vectors < 2'000 ? 1 : std::clamp<int64_t>(vectors / 8'000, 1, 4) * threads;
    tasks_ = std::min(tasks_, pixels_);
  }

  int64_t scratch_bytes() const override { return 0; }

  void run(const ConvBuffers& buffers, ThreadPool& pool) const override {
    pool.run(tasks_, [&](int64_t task) {
      task_(plan_, static_cast<const uint8_t*>(buffers.src), static_cast<uint8_t*>(buffers.dst),
            pixels_ * task / tasks_, pixels_ * (task + 1) / tasks_);
    });
  }

 private:
  std::shared_ptr<const Packed> packed_;
  void (*task_)(const ScaleInt8Plan& plan, const uint8_t* src, uint8_t* dst, int64_t begin, int64_t end);
  ScaleInt8Plan plan_;
  int64_t pixels_ = 0, tasks_ = 1;
};

template <const ScaleIsa& kIsa>
ConvCandidate candidate() {
  return {kIsa.name, kIsa.isa, unsupported,
          [](const ConvSpec& spec, const ConvWeights& given) -> std::shared_ptr<const PackedWeights> {
            return pack(spec, given, kIsa.chunk);
          },
          [](const ConvSpec& spec, std::shared_ptr<const PackedWeights> packed,
             int threads) -> std::unique_ptr<ConvKernel> {
            return std::make_unique<Kernel>(spec, std::static_pointer_cast<const Packed>(std::move(packed)),
                                            kIsa, threads);
          }};
}

}  // namespace

ConvCandidate dwconv_int8_1x1_avx512vnni() { return candidate<kAvx512>(); }
ConvCandidate dwconv_int8_1x1_avx2() { return candidate<kAvx2>(); }

}  // namespace narrow::kernels
