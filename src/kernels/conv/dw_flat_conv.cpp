// dwconv_int8_flat_avx512vnni: depthwise, u8 or s8 source, s8 weights, anything out, along whole rows
// (dw_flat.h). Integers leave bit for bit as kernels/requantize.h says.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "kernels/conv/conv_clamp.h"
#include "kernels/conv/dw_flat.h"
#include "kernels/requantize.h"

namespace narrow::kernels {

ConvCandidate dwconv_int8_avx512vnni();  // refuses what types and windows have no depthwise kernel

namespace {

constexpr int64_t kTile = 64;   // positions
constexpr int64_t kSlack = 64;  // positions behind a row that are written or read

/// Two where the rows interleaved hold the window of the next output row too.
int64_t rows_of(const ConvShape& s) {
  return s.stride_h == 1 && s.dilation_h == 1 && s.kh < kDwFlatGroup ? 2 : 1;
}
int64_t patterns_of(const ConvShape& s) { return s.c / std::gcd(s.c, kTile); }
/// Source columns that `columns` outputs read.
int64_t source_columns(const ConvShape& s, int64_t columns) { return columns + (s.kw - 1) * s.dilation_w; }
bool fits(const ConvShape& s, int64_t columns) {
  return round_up(source_columns(s, columns) * s.c, kTile) + kSlack <= kDwFlatPlane;
}

std::string unsupported(const ConvSpec& spec) {
  const ConvShape& s = spec.shape;
  std::string reason = dwconv_int8_avx512vnni().unsupported(spec);
  if (!reason.empty()) return reason;
  if (s.src_pixel() != s.c || s.dst_pixel() != s.c) return "pixels are apart";
  if (s.stride_w != 1) return fmt::format("horizontal stride = {}: wants 1", s.stride_w);
  if (s.c % 4 != 0) return fmt::format("c = {}: wants a multiple of 4", s.c);
  if (s.kw != kDwFlatTaps || s.kh > kDwFlatGroup)
    return fmt::format("window = {} x {}: wants up to {} x {}", s.kh, s.kw, kDwFlatGroup, kDwFlatTaps);
  if (!fits(s, 1)) return fmt::format("c = {}, dilation = {}: a window does not fit", s.c, s.dilation_w);
  return {};
}

struct Packed : PackedWeights {
  AlignedBuffer weights, bias, multiplier, scale;  // as in DwFlatPlan
  bool lean = false;
  int64_t bytes() const override {
    return weights.bytes() + bias.bytes() + multiplier.bytes() + scale.bytes();
  }
};

std::shared_ptr<const PackedWeights> pack(const ConvSpec& spec, const ConvWeights& weights) {
  const ConvShape& s = spec.shape;
  const int64_t patterns = patterns_of(s), rows = rows_of(s), positions = patterns * kTile;
  auto packed = std::make_shared<Packed>();
  packed->weights = AlignedBuffer::zeroed(positions * s.kw * rows * kDwFlatGroup);
  for (AlignedBuffer* b : {&packed->bias, &packed->multiplier, &packed->scale})
    *b = AlignedBuffer::zeroed(positions * 4);
  const int32_t zero = spec.src_quant.zero_point + (spec.src == DType::s8 ? 128 : 0);
  for (int64_t p = 0; p < positions; ++p) {
    const int64_t c = p % s.c, tile = p / kTile, plane = p % 16 / 4, lane = p % kTile / 16 * 4 + p % 4;
    const int8_t* taps = static_cast<const int8_t*>(weights.weights) + c * s.kh * s.kw;
    int64_t sum = 0;
    for (int64_t i = 0; i < s.kh; ++i)
      for (int64_t j = 0; j < s.kw; ++j) {
        sum += taps[i * s.kw + j];
        for (int64_t r = 0; r < rows; ++r) {
          const int64_t at = (((tile * rows + r) * s.kw + j) * 4 + plane) * 16 + lane;
          packed->weights.as<int8_t>()[at * kDwFlatGroup + i + r] = taps[i * s.kw + j];
        }
      }
    const int64_t bias = spec.bias ? static_cast<const int32_t*>(weights.bias)[c] : 0;
    const float scale = spec.weight_scale[spec.weight_scale.size() == 1 ? 0 : static_cast<size_t>(c)];
    const auto multiplier =
        requantize_factor(static_cast<double>(spec.src_quant.scale) * scale / spec.dst_scale(c));
    const int64_t at = tile * kTile + plane * 16 + lane;
    packed->bias.as<int32_t>()[at] = static_cast<int32_t>(static_cast<uint32_t>(bias - zero * sum));
    packed->multiplier.as<float>()[at] = multiplier;
    packed->scale.as<float>()[p] = is_one_factor(spec) ? multiplier : spec.src_quant.scale * scale;
  }
  packed->lean = dw_int8_is_lean(spec, weights);
  return packed;
}

DwFlatPlan make_plan(const ConvSpec& spec, const Packed& packed) {
  const ConvShape& s = spec.shape;
  DwFlatPlan p;
  static_cast<DwInt8Finish&>(p) = dw_int8_finish(spec);
  static_cast<DwWindow&>(p) = dw_window(s);
  p.rows = rows_of(s);
  p.patterns = patterns_of(s);
  p.src_type = spec.src;
  p.src_zero = spec.src_quant.zero_point;
  p.lean = packed.lean;
  p.weights = packed.weights.as<int8_t>();
  p.bias = packed.bias.as<int32_t>();
  p.multiplier = packed.multiplier.as<float>();
  p.scale = packed.scale.as<float>();
  return p;
}

class Kernel : public ConvKernel {
 public:
  Kernel(const ConvSpec& spec, std::shared_ptr<const Packed> packed, int threads)
      : packed_(std::move(packed)), function_(spec.function), plan_(make_plan(spec, *packed_)) {
    const ConvShape& s = spec.shape;
    bands_ = div_up(s.oh, plan_.rows);
    strips_ = std::min(s.ow, div_up(threads, std::max<int64_t>(1, s.n * bands_)));
    while (strips_ < s.ow && !fits(s, div_up(s.ow, strips_))) ++strips_;
    width_ = div_up(s.ow, std::max<int64_t>(1, strips_));
    units_ = s.n * bands_ * strips_;
    // Several tasks a thread: cores are not equally fast. Too little work for the team's wake-up stays on
    // one.
    const int64_t tiles = s.n * s.oh * div_up(s.ow * s.c, kTile);
    tasks_ = tiles < 110 ? 1 : std::min(units_, std::clamp<int64_t>(tiles / 500, 1, 4) * threads);
  }

  int64_t scratch_bytes() const override { return tasks_ * task_bytes(); }

  void run(const ConvBuffers& buffers, ThreadPool& pool) const override {
    if (units_ == 0) return;
    pool.run(tasks_, [&](int64_t index) {
      DwFlatTask task;
      task.src = static_cast<const uint8_t*>(buffers.src);
      task.residual = buffers.residual;
      task.dst = buffers.dst;
      task.planes = static_cast<uint8_t*>(buffers.scratch) + index * task_bytes();
      const int64_t end = units_ * (index + 1) / tasks_;
      for (int64_t unit = units_ * index / tasks_; unit < end; ++unit) {
        const int64_t band = unit / strips_, strip = unit % strips_;
        task.image = band / bands_;
        task.row_begin = band % bands_ * plan_.rows;
        task.row_end = std::min(plan_.oh, task.row_begin + plan_.rows);
        task.column_begin = std::min(strip * width_, plan_.ow);
        task.column_end = std::min(task.column_begin + width_, plan_.ow);
        if (task.column_begin < task.column_end) dw_flat_avx512vnni(plan_, task);
      }
    });
  }

 private:
  int64_t task_bytes() const { return apart(4 * kDwFlatPlane); }

  std::shared_ptr<const Packed> packed_;
  std::shared_ptr<const ByteFunction> function_;  // what plan_ points at
  DwFlatPlan plan_;
  int64_t bands_ = 0, strips_ = 1, width_ = 1, units_ = 0, tasks_ = 1;
};

}  // namespace

ConvCandidate dwconv_int8_flat_avx512vnni() {
  return {"dwconv_int8_flat_avx512vnni", Isa::avx512_vnni, unsupported, pack,
          [](const ConvSpec& spec, std::shared_ptr<const PackedWeights> packed,
             int threads) -> std::unique_ptr<ConvKernel> {
            return std::make_unique<Kernel>(spec, std::static_pointer_cast<const Packed>(std::move(packed)),
                                            threads);
          }};
}

}  // namespace narrow::kernels
