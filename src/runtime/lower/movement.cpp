// Transpose, DepthToSpace, SpaceToDepth, Concat, Split, Slice, Gather, Expand, Pad, Resize -> kernels/layout.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "kernels/elementwise/elementwise.h"
#include "kernels/layout/copy.h"
#include "kernels/layout/gather.h"
#include "kernels/layout/resize.h"
#include "runtime/lower/format.h"
#include "runtime/lower/lower.h"

namespace narrow::runtime::lower {
namespace {

using ir::Op;

int64_t element_bytes(const ir::TensorType& type) { return bytes_of(type.dtype); }

int64_t positive_axis(int64_t axis, int64_t rank) { return axis < 0 ? axis + rank : axis; }

std::string moves_unchanged(const NodeCase& c) {
  if (!same_format(c.in(0), c.out())) return "formats of input and output differ";
  return c.in(0).rank() <= kernels::kMaxCopyRank ? "" : fmt::format("{} axes", c.in(0).rank());
}

Result<std::unique_ptr<Kernel>> create_transpose(const NodeCase& c) {
  const Shape shape = c.in(0).shape();
  std::vector<int64_t> perm = c.node.ints_attr("perm");
  if (perm.empty())
    for (int64_t i = c.in(0).rank(); i-- > 0;) perm.push_back(i);
  const kernels::CopySpec spec = kernels::transpose_spec(shape, perm, element_bytes(c.in(0)));
  return make_kernel([spec, isa = c.isa](const StepBuffers& b, ThreadPool& pool) {
    kernels::copy_nd(spec, b.inputs[0], b.outputs[0], isa, pool);
  });
}

/// [N,C*b*b,H,W] -> [N,C,H*b,W*b], or the other way round: an axis per factor, moved.
///   channels first, DCR: N b b C H W    CRD: N C b b H W    ->  N C H b W b
///   channels last,  DCR: N H W b b C    CRD: N H W C b b    ->  N H b W b C
Result<std::unique_ptr<Kernel>> create_blocks(const NodeCase& c) {
  const bool to_space = c.node.op() == Op::DepthToSpace, last = c.node.int_attr("channels_last", 0) != 0;
  const bool dcr = c.node.string_attr("mode", "DCR") == "DCR";
  const Shape deep = to_space ? c.in(0).shape() : c.out().shape();  // the side with many channels
  const int64_t b = c.node.int_attr("blocksize", 1), n = deep[0], h = deep[last ? 1 : 2],
                w = deep[last ? 2 : 3], channels = deep[last ? 3 : 1] / (b * b);
  const Shape factors = last  ? (dcr ? Shape{n, h, w, b, b, channels} : Shape{n, h, w, channels, b, b})
                        : dcr ? Shape{n, b, b, channels, h, w}
                              : Shape{n, channels, b, b, h, w};
  const std::vector<int64_t> perm = last && dcr    ? std::vector<int64_t>{0, 1, 3, 2, 4, 5}
                                    : last || !dcr ? std::vector<int64_t>{0, 1, 4, 2, 5, 3}
                                                   : std::vector<int64_t>{0, 3, 4, 1, 5, 2};
  kernels::CopySpec spec = kernels::transpose_spec(factors, perm, element_bytes(c.in(0)));
  if (!to_space) std::swap(spec.dst_strides, spec.src_strides);
  return make_kernel([spec, isa = c.isa](const StepBuffers& buffers, ThreadPool& pool) {
    kernels::copy_nd(spec, buffers.inputs[0], buffers.outputs[0], isa, pool);
  });
}

std::string expand_unsupported(const NodeCase& c) {
  std::string reason = moves_unchanged(c);
  return reason.empty() && c.out().rank() > kernels::kMaxCopyRank ? "too many axes" : reason;
}

Result<std::unique_ptr<Kernel>> create_expand(const NodeCase& c) {
  const Shape x = c.in(0).shape(), y = c.out().shape();
  const std::vector<int64_t> xs = row_major_strides(x), ys = row_major_strides(y);
  kernels::CopySpec spec{.rank = static_cast<int>(y.size()), .element_bytes = element_bytes(c.in(0))};
  const size_t missing = y.size() - x.size();
  for (size_t i = 0; i < y.size(); ++i) {
    spec.extents[i] = y[i];
    spec.dst_strides[i] = ys[i];
    spec.src_strides[i] = i < missing || x[i - missing] == 1 ? 0 : xs[i - missing];
  }
  return make_kernel([spec, isa = c.isa](const StepBuffers& b, ThreadPool& pool) {
    kernels::copy_nd(spec, b.inputs[0], b.outputs[0], isa, pool);
  });
}

// ---- concat: rows of each input side by side; inputs of other scales go through a table into place

struct ConcatPart {
  size_t input;
  int64_t row_bytes, src_pitch, offset;  // bytes
  bool convert = false;
  kernels::UnarySpec spec;
  kernels::UnaryTable table;  // of 8-bit inputs that are converted
};

/// Where channels are not what is cut or joined, pixels that are apart would be taken for dense ones.
std::string pixels_apart(const NodeCase& c) {
  const bool by_channel = positive_axis(c.node.int_attr("axis", 0), c.in(0).rank()) == c.in(0).rank() - 1;
  return c.src_pitch > 0 && !by_channel ? "pixels of the input are apart" : "";
}

std::string concat_unsupported(const NodeCase& c) {
  if (std::string reason = pixels_apart(c); !reason.empty()) return reason;
  for (size_t i = 0; i < c.node.inputs().size(); ++i) {
    const ir::TensorType& type = c.in(static_cast<int>(i));
    if (!same_format(type, c.out()) && !(has_format(type) && has_format(c.out())))
      return "formats cannot be converted";
  }
  return "";
}

/// Rows [begin, end) of one input into its columns of the output.
void place(const ConcatPart& part, const std::byte* src, std::byte* dst, int64_t pitch, int64_t begin,
           int64_t end, Isa isa, ThreadPool& pool) {
  src += begin * part.src_pitch;
  dst += begin * pitch + part.offset;
  if (part.convert && is_int8(part.spec.src.type)) {
    kernels::unary_lookup_rows(part.table, src, part.src_pitch, dst, pitch, end - begin, part.spec.count,
                               isa);
    return;
  }
  // Inside a task: on this thread.
  if (!part.convert)
    return kernels::copy_rows(dst, pitch, src, part.src_pitch, end - begin, part.row_bytes, pool);
  for (int64_t r = begin; r < end; ++r, src += part.src_pitch, dst += pitch)
    kernels::unary(part.spec, src, dst, isa, pool);
}

Result<std::unique_ptr<Kernel>> create_concat(const NodeCase& c) {
  const Shape y = c.out().shape();
  const int64_t axis = positive_axis(c.node.int_attr("axis", 0), c.out().rank());
  const int64_t rows = elements_of(Shape(y.begin(), y.begin() + axis)), bytes = element_bytes(c.out());
  const int64_t pitch =
      (c.dst_pitch > 0 ? c.dst_pitch : elements_of(Shape(y.begin() + axis, y.end()))) * bytes;
  std::vector<ConcatPart> parts;
  int64_t offset = 0;
  for (size_t i = 0; i < c.node.inputs().size(); ++i) {
    const ir::TensorType& type = c.in(static_cast<int>(i));
    const Shape x = type.shape();
    const int64_t count = elements_of(Shape(x.begin() + axis, x.end()));
    const int64_t begin = std::exchange(offset, offset + count * bytes);
    if (i < c.placed.size() && c.placed[i]) continue;
    const int64_t apart = i < c.src_pitches.size() && c.src_pitches[i] > 0 ? c.src_pitches[i] : count;
    ConcatPart part{.input = i,
                    .row_bytes = count * bytes,
                    .src_pitch = apart * element_bytes(type),
                    .offset = begin,
                    .convert = !same_format(type, c.out()),
                    .spec = {},
                    .table = {}};
    if (part.convert)
      part.spec = {.function = {}, .src = format_of(type), .dst = format_of(c.out()), .count = count};
    if (part.convert && is_int8(type.dtype)) part.table = kernels::unary_table(part.spec);
    parts.push_back(part);
  }
  return make_kernel(
      [parts = std::move(parts), pitch, rows, isa = c.isa](const StepBuffers& b, ThreadPool& pool) {
        constexpr int64_t kTaskBytes = 64 << 10;
        const int64_t grain = std::max<int64_t>(1, kTaskBytes / std::max<int64_t>(1, pitch));
        parallel_for(pool, rows, grain, [&](int64_t begin, int64_t end) {
          for (const ConcatPart& part : parts)
            place(part, static_cast<const std::byte*>(b.inputs[part.input]),
                  static_cast<std::byte*>(b.outputs[0]), pitch, begin, end, isa, pool);
        });
      });
}

/// Codes are copied whatever their scales: those of channels that have their own are their pieces' (ir/ops).
std::string split_unsupported(const NodeCase& c) {
  if (c.dst_pitch > 0) return "pixels of the output are apart";
  if (c.in(0).rank() > kernels::kMaxCopyRank) return fmt::format("{} axes", c.in(0).rank());
  return pixels_apart(c);
}

Result<std::unique_ptr<Kernel>> create_split(const NodeCase& c) {
  const Shape x = c.in(0).shape();
  const int64_t axis = positive_axis(c.node.int_attr("axis", 0), c.in(0).rank()),
                bytes = element_bytes(c.in(0));
  const int64_t rows = elements_of(Shape(x.begin(), x.begin() + axis)),
                pitch =
                    (c.src_pitch > 0 ? c.src_pitch : elements_of(Shape(x.begin() + axis, x.end()))) * bytes;
  std::vector<int64_t> row_bytes;
  for (const ir::Value* output : c.node.outputs()) {
    const Shape y = output->type.shape();
    row_bytes.push_back(elements_of(Shape(y.begin() + axis, y.end())) * bytes);
  }
  return make_kernel([row_bytes = std::move(row_bytes), rows, pitch, placed = c.placed](const StepBuffers& b,
                                                                                        ThreadPool& pool) {
    const auto* src = static_cast<const std::byte*>(b.inputs[0]);
    for (size_t i = 0; i < row_bytes.size(); src += row_bytes[i++])
      if (placed.empty() || !placed[i])
        kernels::copy_rows(b.outputs[i], row_bytes[i], src, pitch, rows, row_bytes[i], pool);
  });
}

// ---- slice: a strided view copied

std::string make_slice(const NodeCase& c, kernels::CopySpec& spec, int64_t& first) {
  std::string reason = moves_unchanged(c);
  if (!reason.empty()) return reason;
  if (c.dst_pitch > 0) return "pixels of the output are apart";
  for (int i = 1; i < 5; ++i)
    if (c.has(i) && c.constant(i) == nullptr) return "bounds are not constant";
  const Shape x = c.in(0).shape(), y = c.out().shape();
  const std::vector<int64_t> starts = to_ints(*c.constant(1));
  std::vector<int64_t> axes, steps(starts.size(), 1);
  if (c.has(3))
    axes = to_ints(*c.constant(3));
  else
    for (size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<int64_t>(i));
  if (c.has(4)) steps = to_ints(*c.constant(4));
  if (axes.size() != starts.size() || steps.size() != starts.size())
    return "axes and starts differ in number";
  Shape apart = x;  // as its pixels lie
  if (c.src_pitch > 0) apart.back() = c.src_pitch;
  const std::vector<int64_t> xs = row_major_strides(apart), ys = row_major_strides(y);
  spec = {.rank = static_cast<int>(x.size()), .element_bytes = element_bytes(c.in(0))};
  first = 0;
  for (size_t i = 0; i < x.size(); ++i)
    spec.extents[i] = y[i], spec.dst_strides[i] = ys[i], spec.src_strides[i] = xs[i];
  for (size_t k = 0; k < axes.size(); ++k) {
    const int64_t axis = positive_axis(axes[k], c.in(0).rank());
    if (axis < 0 || axis >= c.in(0).rank()) return "axis out of range";
    const int64_t extent = x[static_cast<size_t>(axis)];
    const int64_t wrapped = starts[k] < 0 ? starts[k] + extent : starts[k];
    const int64_t start = std::clamp<int64_t>(wrapped, 0, steps[k] < 0 ? extent - 1 : extent);
    first += start * xs[static_cast<size_t>(axis)];
    spec.src_strides[axis] = xs[static_cast<size_t>(axis)] * steps[k];
  }
  return "";
}

Result<std::unique_ptr<Kernel>> create_slice(const NodeCase& c) {
  kernels::CopySpec spec;
  int64_t first = 0;
  NARROW_CHECK(make_slice(c, spec, first).empty());
  if (spec.count() == 0) return make_kernel([](const StepBuffers&, ThreadPool&) {});
  return make_kernel([spec, first, isa = c.isa](const StepBuffers& b, ThreadPool& pool) {
    kernels::copy_nd(spec, static_cast<const std::byte*>(b.inputs[0]) + first * spec.element_bytes,
                     b.outputs[0], isa, pool);
  });
}

// ---- gather

class GatherStep final : public Kernel {
 public:
  explicit GatherStep(const NodeCase& c)
      : location_(c.node.location()), wide_(c.in(1).dtype == DType::s64), isa_(c.isa) {
    const Shape x = c.in(0).shape();
    const int64_t axis = positive_axis(c.node.int_attr("axis", 0), c.in(0).rank());
    spec_.outer = elements_of(Shape(x.begin(), x.begin() + axis));
    spec_.extent = x[static_cast<size_t>(axis)];
    spec_.row_bytes = elements_of(Shape(x.begin() + axis + 1, x.end())) * element_bytes(c.in(0));
    spec_.count = elements_of(c.in(1).shape());
  }
  Status run(const StepBuffers& b, ThreadPool& pool) const override {
    return wide_ ? gather<int64_t>(b, pool) : gather<int32_t>(b, pool);
  }

 private:
  template <class Index>
  Status gather(const StepBuffers& b, ThreadPool& pool) const {
    const auto* indices = static_cast<const Index*>(b.inputs[1]);
    const int64_t bad = kernels::gather_rows(spec_, b.outputs[0], b.inputs[0], indices, isa_, pool);
    if (bad < 0) return {};
    return Error{.code = Code::invalid_data,
                 .subject = location_,
                 .expected = fmt::format("indices in [{}, {})", -spec_.extent, spec_.extent),
                 .got = fmt::format("{} at position {}", indices[bad], bad)};
  }

  std::string location_;
  bool wide_;
  Isa isa_;
  kernels::GatherSpec spec_;
};

std::string gather_unsupported(const NodeCase& c) {
  if (!same_format(c.in(0), c.out())) return "formats of input and output differ";
  return c.in(1).dtype == DType::s64 || c.in(1).dtype == DType::s32 ? "" : "indices are not integers";
}

// ---- pad

std::string make_pad(const NodeCase& c, kernels::PadSpec& spec, std::vector<std::byte>& value) {
  std::string reason = moves_unchanged(c);
  if (!reason.empty()) return reason;
  if (c.constant(1) == nullptr || (c.has(2) && c.constant(2) == nullptr) ||
      (c.has(3) && c.constant(3) == nullptr))
    return "pads are not constant";
  const std::string mode = c.node.string_attr("mode", "constant");
  const Shape x = c.in(0).shape();
  const std::vector<int64_t> pads = to_ints(*c.constant(1));
  std::vector<int64_t> axes;
  if (c.has(3))
    axes = to_ints(*c.constant(3));
  else
    for (int64_t i = 0; i < c.in(0).rank(); ++i) axes.push_back(i);
  if (pads.size() != 2 * axes.size()) return "pads and axes differ in number";
  spec.rank = static_cast<int>(x.size());
  spec.element_bytes = element_bytes(c.in(0));
  spec.mode = mode == "reflect" ? kernels::PadMode::reflect
              : mode == "edge"  ? kernels::PadMode::edge
              : mode == "wrap"  ? kernels::PadMode::wrap
                                : kernels::PadMode::constant;
  std::copy(x.begin(), x.end(), spec.shape);
  for (size_t k = 0; k < axes.size(); ++k) {
    const int64_t axis = positive_axis(axes[k], c.in(0).rank());
    if (axis < 0 || axis >= c.in(0).rank()) return "axis out of range";
    spec.before[axis] = pads[k];
    spec.after[axis] = pads[k + axes.size()];
  }
  // The value is a number: quantized tensors store it as their scale says, and 0 as their zero point.
  value.assign(static_cast<size_t>(spec.element_bytes), std::byte{0});
  const float number = c.has(2) && c.constant(2)->elements() == 1 ? to_floats(*c.constant(2))[0] : 0.0F;
  const kernels::TensorQuant quant = tensor_quant(c.in(0));
  if (c.in(0).quant) {
    const IntegerRange range = c.in(0).dtype == DType::u8 ? kRangeU8 : kRangeS8;
    value[0] = static_cast<std::byte>(quantize(number, quant.scale, quant.zero_point, range));
  } else if (c.has(2)) {
    const Tensor stored = cast(*c.constant(2), c.in(0).dtype);
    std::memcpy(value.data(), stored.raw(), value.size());
  }
  return "";
}

Result<std::unique_ptr<Kernel>> create_pad(const NodeCase& c) {
  kernels::PadSpec spec;
  std::vector<std::byte> value;
  NARROW_CHECK(make_pad(c, spec, value).empty());
  return make_kernel([spec, value = std::move(value)](const StepBuffers& b, ThreadPool& pool) {
    kernels::pad(spec, b.inputs[0], value.data(), b.outputs[0], pool);
  });
}

// ---- resize

template <class E>
bool pick(const std::string& name, std::initializer_list<std::pair<const char*, E>> choices, E& out) {
  for (const auto& [label, value] : choices)
    if (name == label) {
      out = value;
      return true;
    }
  return false;
}

std::string make_resize(const NodeCase& c, kernels::ResizeSpec& spec) {
  using namespace kernels;
  const ir::Node& node = c.node;
  if (node.int_attr("channels_last", 0) != 1 || c.in(0).rank() != 4) return "channels are not last";
  if (!same_format(c.in(0), c.out()) || !has_format(c.out())) return "formats of input and output differ";
  if (node.int_attr("antialias", 0) != 0 || node.has("axes") ||
      node.string_attr("keep_aspect_ratio_policy", "stretch") != "stretch")
    return "antialias, axes or aspect policy";
  if (!pick(node.string_attr("mode", "nearest"),
            {std::pair{"nearest", ResizeMode::nearest}, {"linear", ResizeMode::linear}}, spec.mode))
    return "mode";
  if (!pick(node.string_attr("coordinate_transformation_mode", "half_pixel"),
            {std::pair{"half_pixel", ResizeCoordinates::half_pixel},
             {"pytorch_half_pixel", ResizeCoordinates::pytorch_half_pixel},
             {"asymmetric", ResizeCoordinates::asymmetric},
             {"align_corners", ResizeCoordinates::align_corners}},
            spec.coordinates))
    return "coordinate_transformation_mode";
  if (!pick(node.string_attr("nearest_mode", "round_prefer_floor"),
            {std::pair{"round_prefer_floor", ResizeNearest::round_prefer_floor},
             {"round_prefer_ceil", ResizeNearest::round_prefer_ceil},
             {"floor", ResizeNearest::floor},
             {"ceil", ResizeNearest::ceil}},
            spec.nearest))
    return "nearest_mode";
  const Shape x = c.in(0).shape(), y = c.out().shape();
  if (x[0] != y[0] || x[3] != y[3]) return "batch or channels change";
  spec.type = c.in(0).dtype;
  spec.n = x[0], spec.h = x[1], spec.w = x[2], spec.c = x[3], spec.oh = y[1], spec.ow = y[2];
  spec.scale_h = static_cast<float>(y[1]) / static_cast<float>(x[1]);
  spec.scale_w = static_cast<float>(y[2]) / static_cast<float>(x[2]);
  if (c.has(2) && c.constant(2) != nullptr && c.constant(2)->elements() == 4) {
    const std::vector<float> scales = to_floats(*c.constant(2));
    spec.scale_h = scales[1], spec.scale_w = scales[2];
  }
  return "";
}

Result<std::unique_ptr<Kernel>> create_resize(const NodeCase& c) {
  kernels::ResizeSpec spec;
  NARROW_CHECK(make_resize(c, spec).empty());
  return make_kernel(
      [spec, isa = c.isa](const StepBuffers& b, ThreadPool& pool) {
        kernels::resize(spec, b.inputs[0], b.outputs[0], b.scratch, isa, pool);
      },
      kernels::resize_scratch_bytes(spec));
}

}  // namespace

void add_movement(Table& table) {
  const auto add = [&](Op op, const char* name, std::string (*unsupported)(const NodeCase&),
                       Result<std::unique_ptr<Kernel>> (*create)(const NodeCase&)) {
    table[op].push_back({.name = name, .isa = Isa::plain, .unsupported = unsupported, .create = create});
  };
  add(Op::Transpose, "copy", moves_unchanged, create_transpose);
  add(Op::DepthToSpace, "copy", moves_unchanged, create_blocks);
  add(Op::SpaceToDepth, "copy", moves_unchanged, create_blocks);
  add(Op::Expand, "copy", expand_unsupported, create_expand);
  add(Op::Concat, "copy", concat_unsupported, create_concat);
  add(Op::Split, "copy", split_unsupported, create_split);
  add(
      Op::Slice, "copy",
      [](const NodeCase& c) {
        kernels::CopySpec spec;
        int64_t first = 0;
        return make_slice(c, spec, first);
      },
      create_slice);
  add(Op::Gather, "gather", gather_unsupported, [](const NodeCase& c) -> Result<std::unique_ptr<Kernel>> {
    return std::unique_ptr<Kernel>(std::make_unique<GatherStep>(c));
  });
  add(
      Op::Pad, "pad",
      [](const NodeCase& c) {
        kernels::PadSpec spec;
        std::vector<std::byte> value;
        return make_pad(c, spec, value);
      },
      create_pad);
  add(
      Op::Resize, "resize",
      [](const NodeCase& c) {
        kernels::ResizeSpec spec;
        return make_resize(c, spec);
      },
      create_resize);
}

}  // namespace narrow::runtime::lower
