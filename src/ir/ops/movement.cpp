#include "ir/ops/movement.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ir/ops/families.h"

namespace narrow::ir::ops {

namespace {

/// Dims other than the joined axis agree; those of the axis add up.
Status join(const NodeView& view, Dims& y, const Dims& x, size_t axis) {
  for (size_t i = 0; i < y.size(); ++i) {
    if (i == axis) continue;
    const auto dim = unify(y[i], x[i]);
    if (!dim)
      return view.error("equal dims beside axis " + std::to_string(axis),
                        to_string(y) + " and " + to_string(x));
    y[i] = *dim;
  }
  if (!y[axis].known() || !x[axis].known()) {
    y[axis] = Dim();
    return {};
  }
  const auto sum = as_dim(Wide{y[axis].value} + x[axis].value);
  if (!sum) return view.error("a size that fits in 63 bits", to_string(x));
  y[axis] = Dim(*sum);
  return {};
}

}  // namespace

Result<std::optional<Dims>> concat_dims(const NodeView& view, const std::vector<int>& inputs) {
  int64_t rank = -1;
  for (const int i : inputs)
    if (rank < 0 && view.type(i).ranked) rank = view.type(i).rank();
  if (rank < 0) return std::optional<Dims>();
  if (!view.node().has("axis")) return view.error("attribute axis", "none");
  NARROW_TRY(const int64_t axis, normalize_axis(view, view.node().int_attr("axis", 0), rank));
  std::optional<Dims> y;
  for (const int i : inputs) {
    NARROW_TRY(Dims x, dims_of_rank(view, i, rank));
    if (y) NARROW_DO(join(view, *y, x, static_cast<size_t>(axis)));
    if (!y) y = std::move(x);
  }
  return y;
}

namespace {

Inferred infer_concat(const NodeView& view) {
  std::vector<int> all(static_cast<size_t>(view.inputs()));
  std::iota(all.begin(), all.end(), 0);
  NARROW_TRY(const DType dtype, common_dtype(view, all));
  NARROW_TRY(const auto dims, concat_dims(view, all));
  TensorType y = dims ? ranked(dtype, *dims) : TensorType::unranked(dtype);
  const auto& quant = view.type(0).quant;
  bool same = quant != nullptr && quant->per_tensor() && view.type(0).dtype == dtype;
  for (const int i : all)
    same =
        same && view.type(i).quant != nullptr && view.type(i).dtype == dtype && *view.type(i).quant == *quant;
  if (same) y.quant = quant;
  return Types{std::move(y)};
}

// ---------------------------------------------------------------- Split

/// Sizes of the parts of `dim`: as input split says, or equal with a smaller last one.
Result<std::vector<Dim>> split_sizes(const NodeView& view, const Dim& dim) {
  const size_t parts = view.node().outputs().size();
  if (!view.has(1)) {
    if (!dim.known()) return std::vector<Dim>(parts);
    const auto count = static_cast<int64_t>(parts);
    const int64_t size = dim.value / count + (dim.value % count != 0 ? 1 : 0);
    const Wide last = dim.value - Wide{size} * (count - 1);
    if (last < 0)
      return view.error(fmt::format("an axis that splits into {} parts", count), ir::to_string(dim));
    std::vector<Dim> sizes(parts, Dim(size));
    sizes.back() = Dim(static_cast<int64_t>(last));
    return sizes;
  }
  const auto given = view.ints(1);
  if (!given) return std::vector<Dim>(parts);
  std::vector<Dim> sizes;
  Wide sum = 0;
  for (const int64_t size : *given) {
    if (size < 0) return view.error("split sizes >= 0", std::to_string(size));
    sum += size;
    sizes.push_back(Dim(size));
  }
  if (sizes.size() != parts || (dim.known() && sum != dim.value))
    return view.error(fmt::format("{} sizes that add up to {}", parts, ir::to_string(dim)),
                      "split " + to_string(sizes));
  return sizes;
}

/// Of channels [first, first + count) along the axis of a quantization; per tensor where they are alike.
std::shared_ptr<const Quantization> part_of(const Quantization& whole, int64_t first, int64_t count) {
  Quantization part{{}, {}, whole.axis};
  part.scale.assign(whole.scale.begin() + first, whole.scale.begin() + first + count);
  part.zero_point.assign(whole.zero_point.begin() + first, whole.zero_point.begin() + first + count);
  const auto alike = [](const auto& list) {
    return std::all_of(list.begin(), list.end(), [&](auto x) { return x == list.front(); });
  };
  if (count > 0 && alike(part.scale) && alike(part.zero_point))
    part = {{part.scale[0]}, {part.zero_point[0]}, -1};
  return std::make_shared<const Quantization>(std::move(part));
}

Inferred infer_split(const NodeView& view) {
  const size_t parts = view.node().outputs().size();
  const int64_t stated = view.node().int_attr("num_outputs", static_cast<int64_t>(parts));
  if (parts == 0 || stated != static_cast<int64_t>(parts))
    return view.error(fmt::format("num_outputs = {} outputs", stated), std::to_string(parts));
  Types out;
  if (!view.type(0).ranked) {
    NARROW_TRY(const TensorType part, moved_unranked(view, 0));
    return Types(parts, part);
  }
  NARROW_TRY(const int64_t axis, normalize_axis(view, view.node().int_attr("axis", 0), view.type(0).rank()));
  NARROW_TRY(const std::vector<Dim> sizes, split_sizes(view, view.type(0).dims[static_cast<size_t>(axis)]));
  const Quantization* own = view.type(0).quant.get();  // of each channel, where it is along the axis
  if (own != nullptr && (own->per_tensor() || own->axis != axis)) own = nullptr;
  int64_t first = 0,
          rest = own == nullptr ? 0 : std::min(std::ssize(own->scale), std::ssize(own->zero_point));
  for (const Dim& size : sizes) {
    Dims dims = view.type(0).dims;
    dims[static_cast<size_t>(axis)] = size;
    NARROW_TRY(TensorType part, moved(view, 0, std::move(dims)));
    if (own != nullptr && size.known() && size.value > 0 && size.value <= rest) {
      part.quant = part_of(*own, first, size.value);
      first += size.value, rest -= size.value;
    }
    out.push_back(std::move(part));
  }
  return out;
}

// ---------------------------------------------------------------- Tile, blocks, Trilu

Inferred infer_tile(const NodeView& view) {
  NARROW_TRY(const auto length, vector_length(view, 1));
  if (!view.type(0).ranked && !length) {
    NARROW_TRY(TensorType y, moved_unranked(view, 0));
    return Types{std::move(y)};
  }
  NARROW_TRY(Dims y, dims_of_rank(view, 0, length ? *length : view.type(0).rank()));
  const auto repeats = view.ints(1);
  for (size_t i = 0; i < y.size(); ++i) {
    if (!repeats || (!y[i].known() && repeats->at(i) != 1)) y[i] = Dim();
    if (!repeats || !y[i].known()) continue;
    const auto size = repeats->at(i) < 0 ? std::nullopt : as_dim(Wide{y[i].value} * repeats->at(i));
    if (!size)
      return view.error("repeats >= 0 and sizes that fit in 63 bits", std::to_string(repeats->at(i)));
    y[i] = Dim(*size);
  }
  NARROW_TRY(TensorType type, moved(view, 0, std::move(y)));
  return Types{std::move(type)};
}

Result<int64_t> blocksize_of(const NodeView& view) {
  const int64_t block = view.node().int_attr("blocksize", 0);
  if (block < 1 || block > (int64_t{1} << 20))
    return view.error("blocksize from 1 to 2^20", std::to_string(block));
  return block;
}

Result<Dim> divided(const NodeView& view, const Dim& dim, int64_t by) {
  if (!dim.known()) return by == 1 ? dim : Dim();
  if (dim.value % by != 0) return view.error(fmt::format("a dim divisible by {}", by), ir::to_string(dim));
  return Dim(dim.value / by);
}

Result<Dim> multiplied(const NodeView& view, const Dim& dim, int64_t by) {
  if (!dim.known()) return by == 1 ? dim : Dim();
  const auto size = as_dim(Wide{dim.value} * by);
  if (!size) return view.error("a size that fits in 63 bits", ir::to_string(dim));
  return Dim(*size);
}

template <auto of_channels, auto of_space>
Inferred infer_blocks(const NodeView& view) {
  NARROW_TRY(const int64_t block, blocksize_of(view));
  NARROW_TRY(Dims y, dims_of_rank(view, 0, 4));
  NARROW_TRY(const Layout at, layout_of(view, 4));
  NARROW_TRY(y[at.channel], of_channels(view, y[at.channel], block * block));
  for (size_t i = 0; i < 2; ++i) {
    NARROW_TRY(y[at.space + i], of_space(view, y[at.space + i], block));
  }
  NARROW_TRY(TensorType type, moved(view, 0, std::move(y)));
  return Types{std::move(type)};
}

Inferred infer_trilu(const NodeView& view) {
  if (view.type(0).ranked && view.type(0).rank() < 2)
    return view.error("data of rank 2 or more", ir::to_string(view.type(0)));
  NARROW_TRY(TensorType y, moved(view, 0, view.type(0).dims));
  y.ranked = view.type(0).ranked;
  return Types{std::move(y)};
}

}  // namespace

Schemas movement_ops() {
  const auto op = [](Op name, int since, const char* doc, std::vector<Parameter> inputs,
                     InferFunction infer) {
    return OpSchema{.op = name,
                    .domain = "",
                    .since = since,
                    .doc = doc,
                    .inputs = std::move(inputs),
                    .outputs = {{"output", kAny}},
                    .infer = infer};
  };
  OpSchema split = op(Op::Split, 1, "parts of the input along axis",
                      {{"input", kAny}, {"split", kS64, kOptional}}, infer_split);
  split.outputs = {{.name = "outputs", .types = kAny, .optional = false, .variadic = true}};
  return {op(Op::Concat, 1, "the inputs one after the other along axis",
             {{.name = "inputs", .types = kAny, .optional = false, .variadic = true}}, infer_concat),
          split,
          op(Op::Tile, 1, "the input repeated along every axis", {{"input", kAny}, {"repeats", kS64}},
             infer_tile),
          op(Op::DepthToSpace, 1, "blocks of channels become blocks of pixels (mode DCR or CRD)",
             {{"input", kAny}}, infer_blocks<divided, multiplied>),
          op(Op::SpaceToDepth, 1, "blocks of pixels become channels", {{"input", kAny}},
             infer_blocks<multiplied, divided>),
          op(Op::Trilu, 14, "the upper (lower with upper = 0) triangle from the k-th diagonal, 0 elsewhere",
             {{"input", kAny}, {"k", kS64, kOptional}}, infer_trilu)};
}

}  // namespace narrow::ir::ops
