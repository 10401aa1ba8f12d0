// Int8 convolutions and products as one blocked matrix product: positions x outputs, summed over taps and
// channels.
//
// 1x1 convolutions read the source where it lies; others read a padded copy (s8_image.h). A task copies what
// it reads: a copy that threads share costs more, since its lines wander between their caches.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels/conv/conv_clamp.h"
#include "kernels/conv/s8_image.h"
#include "kernels/conv/s8_layout.h"
#include "kernels/conv/s8_task.h"

namespace narrow::kernels {
namespace {

struct S8Isa {
  const char* name;
  Isa isa;
  S8Tile tile;
  void (*task)(const S8Args& args, const S8Range& range);
};

constexpr S8Isa kAmx{"conv_int8_amx", Isa::amx, {32, 32, 64, 64, false}, s8_task_amx};
constexpr S8Isa kVnni{"conv_int8_avx512vnni", Isa::avx512_vnni, {14, 32, 4, 32, true}, s8_task_avx512vnni};
constexpr S8Isa kAvx2{"conv_int8_avx2", Isa::avx2, {4, 16, 4, 16, false}, s8_task_avx2};
constexpr S8Isa kPlain{"conv_int8_plain", Isa::plain, {4, 16, 4, 16, false}, s8_task_plain};

constexpr int64_t kEverything = std::numeric_limits<int64_t>::max() / 2;
constexpr int64_t kMaxDepth = 65793;  // 255 * 128 * K < 2^31

bool zero_point_fits(DType type, const TensorQuant& quant) {
  if (!is_int8(type)) return true;
  const int32_t low = type == DType::u8 ? 0 : -128;
  return quant.zero_point >= low && quant.zero_point <= low + 255;
}

std::string unsupported_shape(const ConvSpec& spec) {
  const ConvShape& s = spec.shape;
  if (spec.weights != DType::s8) return fmt::format("weights = {}: wants s8", to_string(spec.weights));
  if (std::min({s.c, s.oc, s.kh, s.kw, s.stride_h, s.stride_w, s.dilation_h, s.dilation_w}) < 1)
    return "channels, kernel, stride and dilation have to be positive";
  if (s.groups < 1 || s.c % s.groups != 0 || s.oc % s.groups != 0)
    return fmt::format("groups = {}: wants a divisor of {} and {}", s.groups, s.c, s.oc);
  if (s.kh * s.kw * (s.c / s.groups) > kMaxDepth)
    return fmt::format("{} products per sum: wants at most {}", s.kh * s.kw * (s.c / s.groups), kMaxDepth);
  return {};
}

std::string unsupported(const ConvSpec& spec) {
  const auto stores = [](DType t) {
    return is_int8(t) || t == DType::f32 || t == DType::bf16 || t == DType::f16;
  };
  if (!is_int8(spec.src)) return fmt::format("src = {}: wants u8 or s8", to_string(spec.src));
  if (!stores(spec.dst)) return fmt::format("dst = {}: wants u8, s8, f32, bf16 or f16", to_string(spec.dst));
  if (spec.residual != DType::undefined && !stores(spec.residual))
    return fmt::format("residual = {}: wants u8, s8, f32, bf16 or f16", to_string(spec.residual));
  if (!zero_point_fits(spec.src, spec.src_quant) || !zero_point_fits(spec.dst, spec.dst_quant) ||
      !zero_point_fits(spec.residual, spec.residual_quant))
    return "a zero point is outside its type's range";
  if (std::string reason = unsupported_shape(spec); !reason.empty()) return reason;
  if (spec.weight_scale.size() != 1 && static_cast<int64_t>(spec.weight_scale.size()) != spec.shape.oc)
    return fmt::format("{} weight scales: wants 1 or {}", spec.weight_scale.size(), spec.shape.oc);
  return {};
}

/// Whether no value, in units of dst's scale, can leave the range of int32: the conversion would not
/// saturate.
bool fits_int32(const S8Finish& f, const S8Packed& packed) {
  const int64_t columns = packed.layout().groups * packed.layout().padded_outputs();
  const double scale = *std::max_element(f.scale, f.scale + columns);
  const double residual = f.residual_type == DType::undefined ? 0 : 255.0 * f.residual_scale;
  const double bound = (0x1p31 * scale + residual) * f.inverse_out_scale;
  return *std::min_element(f.scale, f.scale + columns) >= 0 && bound >= 0 && bound < 0x1.ffp30;
}

S8Finish make_finish(const ConvSpec& spec, const S8Packed& packed) {
  const bool bounds_only = is_int8(spec.dst) && spec.activation.is_clamp();
  const bool one_factor = is_one_factor(spec);
  S8Finish f{};
  f.dst_type = spec.dst;
  f.residual_type = spec.residual;
  f.activation = bounds_only ? Activation{} : spec.activation;
  f.scale = one_factor ? packed.multiplier() : packed.scale();
  f.inverse_out_scale = one_factor ? 1.0F : 1.0F / spec.dst_quant.scale;
  f.out_zero = spec.dst_quant.zero_point;
  const IntegerBounds bounds = integer_bounds(spec);
  f.low = bounds.low;
  f.high = bounds.high;
  f.residual_scale = one_factor ? residual_multiplier(spec) : spec.residual_quant.scale;
  f.residual_zero = spec.residual_quant.zero_point;
  f.dst_pixel = spec.shape.oc;
  f.stays_in_bytes = one_factor && fits_int32(f, packed);
  return f;
}

/// How a product is cut into tasks.
struct Split {
  int64_t blocks, groups, panels;  // per task; all panels of several groups, or some of one
  bool panels_outside;
};

/// Weights that stay in L2 are shared by tasks over pixels. Larger ones stream in from L3 or memory: then
/// each task takes some panels for all pixels. A block of pixels stays in L1 while the panels pass by, unless
/// the panels of a task would leave L2 before the next block wants them again.
///
/// Groups go together too: two threads that write neighbouring channels of a pixel fight for its cache line.
bool deals_weights(const S8Layout& l, int64_t blocks, int threads) {
  constexpr int64_t kShared = 256 << 10;
  return threads > 1 && l.weight_bytes() > kShared && blocks < 16 * threads;
}

Split split(const S8Layout& l, int64_t blocks, bool weights, int64_t tasks) {
  constexpr int64_t kResident = 640 << 10;
  Split cut{blocks, l.groups, l.panels, false};
  if (weights) {
    cut.groups = div_up(l.groups, tasks);
    const int64_t per_group = div_up(tasks, l.groups);
    if (cut.groups == 1) cut.panels = div_up(l.panels, std::min(per_group, l.panels));
  } else {
    cut.blocks = div_up(blocks, tasks);
  }
  cut.panels_outside = cut.panels * l.panel_bytes() > kResident;
  return cut;
}

class S8Conv : public ConvKernel {
 public:
  S8Conv(const ConvSpec& spec, std::shared_ptr<const S8Packed> packed, const S8Isa& isa, int threads)
      : shape_(spec.shape), packed_(std::move(packed)), task_(isa.task), threads_(threads) {
    args_.is_signed = spec.src == DType::s8;
    args_.finish = make_finish(spec, *packed_);
    fill_ = static_cast<uint8_t>(spec.src_quant.zero_point);
    const S8Layout& l = packed_->layout();
    args_.segments = l.segments;
    args_.segment_bytes = l.segment_bytes;
    args_.b = packed_->weights();
    args_.bias = packed_->bias();
    args_.panel_bytes = l.panel_bytes();
    args_.channels = l.channels;
    args_.outputs = l.outputs;
    args_.panels = l.panels;
    if (shape_.is_pointwise())
      plan_direct();
    else
      plan_image();
    constexpr int64_t kStaysInL1 = 40 << 10;
    args_.b_streams = !cut_.panels_outside && cut_.panels * l.panel_bytes() > kStaysInL1;
  }

  int64_t scratch_bytes() const override { return scratch_bytes_; }
  void run(const ConvBuffers& buffers, ThreadPool& pool) const override;

 private:
  void plan_direct();
  void plan_image();
  void multiply_direct(const S8Args& args, ThreadPool& pool) const;
  void multiply(const S8Args& args, int64_t part, int64_t block, int64_t block_end) const;
  void copy_and_multiply(S8Args args, const uint8_t* src, uint8_t* copy, int64_t part, int64_t first,
                         int64_t end) const;
  int64_t group_tasks() const { return div_up(packed_->layout().groups, cut_.groups); }
  int64_t panel_tasks() const { return div_up(packed_->layout().panels, cut_.panels); }
  /// Bytes from a position's start that its last segment of the last group ends at.
  int64_t reach(const std::vector<int64_t>& offsets) const {
    const S8Layout& l = packed_->layout();
    return *std::max_element(offsets.begin(), offsets.end()) + (l.groups - 1) * l.channels + l.segment_bytes;
  }

  ConvShape shape_;
  std::shared_ptr<const S8Packed> packed_;
  void (*task_)(const S8Args& args, const S8Range& range);
  int threads_;
  uint8_t fill_ = 0;
  S8Args args_{};
  bool direct_ = true;
  S8Image image_;
  Split cut_{};
  // Of an image: tasks that deal its rows, rows of outputs a copy serves, its bytes, its segments' starts.
  int64_t row_tasks_ = 1, rows_at_once_ = 1, copy_bytes_ = 0;
  std::vector<int64_t> offsets_;
  int64_t scratch_bytes_ = 0;
};

/// The last pixels are read from a copy where the kernel would read beyond the source's end.
void S8Conv::plan_direct() {
  const int64_t rows = packed_->layout().tile.rows, positions = shape_.n * shape_.h * shape_.w;
  const int64_t beyond = reach({0}) - shape_.c;
  args_.a_stride = shape_.c;
  args_.positions = args_.pitch = args_.ow = positions;
  args_.rows = args_.oh = 1;
  args_.readable = positions;
  args_.tail_begin = kEverything;
  const S8Layout& l = packed_->layout();
  const int64_t blocks = div_up(positions, rows);
  cut_ = split(l, blocks, deals_weights(l, blocks, threads_), threads_ == 1 ? 1 : int64_t{4} * threads_);
  if (beyond <= 0 && positions >= rows) return;
  const int64_t first_short =
      positions - div_up(std::max<int64_t>(beyond, 0), shape_.c);  // first to read beyond
  args_.tail_begin = std::max<int64_t>(0, first_short / rows * rows);
  if (positions < rows) args_.tail_begin = 0;
  args_.readable = kEverything;
  scratch_bytes_ = round_up(positions - args_.tail_begin, rows) * shape_.c + reach({0});
}

void S8Conv::plan_image() {
  constexpr int64_t kCopyBytes = 256 << 10;  // leaves most of L2 to weights
  direct_ = false;
  image_ = s8_image(shape_);
  args_.a_stride = image_.pixel_stride;
  args_.pitch = image_.pitch;
  args_.rows = image_.rows;
  args_.oh = shape_.oh;
  args_.ow = shape_.ow;
  args_.readable = args_.tail_begin = kEverything;
  const S8Layout& l = packed_->layout();
  const int64_t rows = std::max<int64_t>(1, image_.output_rows(shape_)),
                blocks = div_up(rows * image_.pitch, l.tile.rows);
  // Few tasks: each begins with a copy, of all pixels where weights are dealt.
  const bool weights = deals_weights(l, blocks, threads_);
  cut_ = split(l, blocks, weights, weights ? threads_ : 1);
  row_tasks_ = weights || threads_ == 1 ? 1 : std::min<int64_t>(rows, int64_t{2} * threads_);
  const int64_t row_bytes = std::max<int64_t>(1, image_.copied_bytes(1) - image_.copied_bytes(0));
  rows_at_once_ = std::clamp<int64_t>(kCopyBytes / row_bytes, 1, div_up(rows, row_tasks_));
  offsets_ = s8_image_offsets(shape_, l, image_, rows_at_once_);
  const int64_t last = round_up(rows_at_once_ * image_.pitch, l.tile.rows) * args_.a_stride + reach(offsets_);
  copy_bytes_ = round_up(std::max(last, image_.copied_bytes(rows_at_once_)), kCacheLine);
  scratch_bytes_ = row_tasks_ * group_tasks() * panel_tasks() * copy_bytes_;
}

void S8Conv::multiply_direct(const S8Args& args, ThreadPool& pool) const {
  const int64_t blocks = div_up(args.positions, packed_->layout().tile.rows),
                block_tasks = div_up(blocks, cut_.blocks);
  pool.run(group_tasks() * block_tasks * panel_tasks(), [&](int64_t task) {
    const int64_t block = task % block_tasks * cut_.blocks;
    multiply(args, task / block_tasks, block, std::min(block + cut_.blocks, blocks));
  });
}

/// Blocks of positions x the groups and panels of part `part`.
void S8Conv::multiply(const S8Args& args, int64_t part, int64_t block, int64_t block_end) const {
  const S8Layout& l = packed_->layout();
  const int64_t panel = part % panel_tasks() * cut_.panels, group = part / panel_tasks() * cut_.groups;
  for (int64_t g = group; g < std::min(group + cut_.groups, l.groups); ++g)
    task_(args, {g, block, block_end, panel, std::min(panel + cut_.panels, l.panels), cut_.panels_outside});
}

/// The outputs of rows [first, end), as many at once as a copy holds.
void S8Conv::copy_and_multiply(S8Args args, const uint8_t* src, uint8_t* copy, int64_t part, int64_t first,
                               int64_t end) const {
  args.a = copy;
  args.offsets = offsets_.data();
  for (int64_t row = first; row < end; row += rows_at_once_) {
    const int64_t count = std::min(rows_at_once_, end - row);
    s8_copy_rows(shape_, image_, fill_, src, row, count, rows_at_once_, copy);
    args.row_begin = row;
    args.positions = (count - 1) * image_.pitch + shape_.ow;
    multiply(args, part, 0, div_up(args.positions, packed_->layout().tile.rows));
  }
}

void S8Conv::run(const ConvBuffers& buffers, ThreadPool& pool) const {
  if (shape_.n * shape_.oh * shape_.ow * shape_.oc == 0) return;
  const auto* src = static_cast<const uint8_t*>(buffers.src);
  auto* scratch = static_cast<uint8_t*>(buffers.scratch);
  S8Args args = args_;
  args.finish.residual = buffers.residual;
  args.finish.dst = buffers.dst;
  if (direct_) {
    constexpr int64_t kHere = 0;
    args.offsets = &kHere;
    args.a = src;
    args.tail = scratch;
    const int64_t tail = std::max<int64_t>(0, args.positions - args.tail_begin);
    if (tail > 0)
      std::memcpy(scratch, src + (args.positions - tail) * shape_.c, static_cast<size_t>(tail * shape_.c));
    return multiply_direct(args, pool);
  }
  const int64_t rows = image_.output_rows(shape_);
  pool.run(row_tasks_ * group_tasks() * panel_tasks(), [&](int64_t task) {
    const int64_t rows_part = task % row_tasks_;
    copy_and_multiply(args, src, scratch + task * copy_bytes_, task / row_tasks_,
                      rows * rows_part / row_tasks_, rows * (rows_part + 1) / row_tasks_);
  });
}

template <const S8Isa& kIsa>
ConvCandidate candidate() {
  return {kIsa.name,
          kIsa.isa,
          unsupported,
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
           unsupported_shape}};
}

}  // namespace

ConvCandidate conv_int8_amx() { return candidate<kAmx>(); }
ConvCandidate conv_int8_avx512vnni() { return candidate<kVnni>(); }
ConvCandidate conv_int8_avx2() { return candidate<kAvx2>(); }
ConvCandidate conv_int8_plain() { return candidate<kPlain>(); }

}  // namespace narrow::kernels
