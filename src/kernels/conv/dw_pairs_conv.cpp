// dwconv_int8_pairs_avx512vnni: depthwise, 3x3, u8 or s8 source, s8 weights, anything out (dw_pairs.h).
// Integers leave bit for bit as kernels/requantize.h says.
#include <fmt/format.h>

#include <cstring>

#include "kernels/conv/conv_clamp.h"
#include "kernels/conv/dw_pairs.h"
#include "kernels/conv/dw_split.h"
#include "kernels/requantize.h"

namespace narrow::kernels {

ConvCandidate dwconv_int8_avx512vnni();  // refuses what types have no depthwise kernel

namespace {

std::string unsupported(const ConvSpec& spec) {
  const ConvShape& s = spec.shape;
  std::string reason = dwconv_int8_avx512vnni().unsupported(spec);
  if (!reason.empty()) return reason;
  if (s.kh != 3 || s.kw != 3) return fmt::format("window = {} x {}: wants 3 x 3", s.kh, s.kw);
  return {};
}

struct Packed : PackedWeights {
  AlignedBuffer weights, bias, multiplier, scale;  // as in DwPairsPlan
  bool lean = false;
  int64_t bytes() const override {
    return weights.bytes() + bias.bytes() + multiplier.bytes() + scale.bytes();
  }
};

/// Of byte i of a chunk: the vector of sums and its lane, and those in the order of memory.
struct Lane {
  int64_t vector, lane, stored;
  bool odd;  // the second channel of its lane's bytes
  explicit Lane(int64_t i)
      : vector(i % 16 / 8 * 2 + i % 2),
        lane(i / 16 * 4 + i % 8 / 2),
        stored(i % 16 / 4 * 16 + i / 16 * 4 + i % 4),
        odd(i % 2 != 0) {}
};

/// Channel c as byte i of chunk `chunk`.
void pack_channel(const ConvSpec& spec, const ConvWeights& weights, int64_t c, int64_t chunk, int64_t i,
                  Packed& packed) {
  const int8_t* taps = static_cast<const int8_t*>(weights.weights) + c * kDwPairsTaps;
  const Lane at(i);
  int64_t sum = 0;
  for (int64_t tap = 0; tap < kDwPairsTaps; ++tap) {
    const int64_t vector = (chunk * kDwPairs + tap / 2) * 4 + at.vector;
    packed.weights.as<int8_t>()[(vector * 16 + at.lane) * 4 + (at.odd ? 2 : 0) + tap % 2] = taps[tap];
    sum += taps[tap];
  }
  const int64_t zero = spec.src_quant.zero_point + (spec.src == DType::s8 ? 128 : 0);
  const int64_t bias = spec.bias ? static_cast<const int32_t*>(weights.bias)[c] : 0;
  const float scale = spec.weight_scale[spec.weight_scale.size() == 1 ? 0 : static_cast<size_t>(c)];
  const auto multiplier =
      requantize_factor(static_cast<double>(spec.src_quant.scale) * scale / spec.dst_scale(c));
  const int64_t begin = chunk * kDwPairsChunk;
  packed.bias.as<int32_t>()[begin + at.vector * 16 + at.lane] =
      static_cast<int32_t>(static_cast<uint32_t>(bias - zero * sum));
  packed.multiplier.as<float>()[begin + at.stored] = multiplier;
  packed.scale.as<float>()[begin + i] = is_one_factor(spec) ? multiplier : spec.src_quant.scale * scale;
}

std::shared_ptr<const PackedWeights> pack(const ConvSpec& spec, const ConvWeights& weights) {
  const int64_t c = spec.shape.c, chunks = div_up(c, kDwPairsChunk), padded = chunks * kDwPairsChunk;
  auto packed = std::make_shared<Packed>();
  packed->weights = AlignedBuffer::zeroed(padded * kDwPairs * 4);
  for (AlignedBuffer* b : {&packed->bias, &packed->multiplier, &packed->scale})
    *b = AlignedBuffer::zeroed(padded * 4);
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const int64_t begin = chunk * kDwPairsChunk, live = std::min(kDwPairsChunk, c - begin);
    for (int64_t i = 0; i < (live == kDwPairsTwin ? kDwPairsChunk : live); ++i)
      pack_channel(spec, weights, begin + i % live, chunk, i, *packed);
  }
  packed->lean = dw_int8_is_lean(spec, weights);
  return packed;
}

DwPairsPlan make_plan(const ConvSpec& spec, const Packed& packed, const AlignedBuffer& padding) {
  DwPairsPlan p;
  static_cast<DwInt8Finish&>(p) = dw_int8_finish(spec);
  static_cast<DwWindow&>(p) = dw_window(spec.shape);
  p.src_type = spec.src;
  p.lean = packed.lean;
  p.padding = padding.as<uint8_t>();
  p.weights = packed.weights.as<int8_t>();
  p.bias = packed.bias.as<int32_t>();
  p.multiplier = packed.multiplier.as<float>();
  p.scale = packed.scale.as<float>();
  return p;
}

AlignedBuffer padding_of(const ConvSpec& spec) {
  AlignedBuffer row(spec.shape.w * spec.shape.src_pixel() + kDwPairsChunk);
  std::memset(row.data(), spec.src_quant.zero_point, static_cast<size_t>(row.bytes()));
  return row;
}

class Kernel : public ConvKernel {
 public:
  Kernel(const ConvSpec& spec, std::shared_ptr<const Packed> packed, int threads)
      : packed_(std::move(packed)),
        padding_(padding_of(spec)),
        function_(spec.function),
        plan_(make_plan(spec, *packed_, padding_)),
        split_(spec.shape, kDwPairsChunk, 1, threads) {}

  int64_t scratch_bytes() const override { return 0; }

  void run(const ConvBuffers& buffers, ThreadPool& pool) const override {
    pool.run(split_.tasks(), [&](int64_t index) {
      split_.for_each_strip(
          index, [&](const DwStrip& strip) { dw_pairs_avx512vnni(plan_, dw_int8_task(buffers, strip)); });
    });
  }

 private:
  std::shared_ptr<const Packed> packed_;
  AlignedBuffer padding_;
  std::shared_ptr<const ByteFunction> function_;  // what plan_ points at
  DwPairsPlan plan_;
  DwSplit split_;
};

}  // namespace

ConvCandidate dwconv_int8_pairs_avx512vnni() {
  return {"dwconv_int8_pairs_avx512vnni", Isa::avx512_vnni, unsupported, pack,
          [](const ConvSpec& spec, std::shared_ptr<const PackedWeights> packed,
             int threads) -> std::unique_ptr<ConvKernel> {
            return std::make_unique<Kernel>(spec, std::static_pointer_cast<const Packed>(std::move(packed)),
                                            threads);
          }};
}

}  // namespace narrow::kernels
