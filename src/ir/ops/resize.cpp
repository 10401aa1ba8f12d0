#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ir/ops/families.h"
#include "ir/ops/support.h"

namespace narrow::ir::ops {
namespace {

/// An optional list input: absent, an empty constant (how exporters say absent), known, or known only at run
/// time.
enum class Known { absent, yes, no };
Known known(const NodeView& view, int i) {
  if (!view.has(i)) return Known::absent;
  if (const Tensor* t = view.constant(i); t != nullptr)
    return t->elements() == 0 ? Known::absent : Known::yes;
  const TensorType& type = view.type(i);
  if (type.ranked && type.rank() == 1 && type.dims[0] == Dim(0)) return Known::absent;
  return Known::no;
}

Result<std::vector<int64_t>> resized_axes(const NodeView& view, int64_t rank) {
  std::vector<int64_t> axes = view.node().ints_attr("axes");
  if (axes.empty()) {
    axes.resize(static_cast<size_t>(rank));
    std::iota(axes.begin(), axes.end(), 0);
    return axes;
  }
  NARROW_DO(normalize_axes(view, axes, rank));
  for (int64_t& axis : axes) axis += axis < 0 ? rank : 0;
  return axes;
}

/// Length of region k of n in roi = [starts..., ends...]; 1 unless the crop mode is on. Nothing: unknown.
std::optional<float> region(const NodeView& view, size_t k, size_t n) {
  if (view.node().string_attr("coordinate_transformation_mode", "") != "tf_crop_and_resize") return 1.0F;
  if (known(view, 1) != Known::yes || view.constant(1)->elements() != static_cast<int64_t>(2 * n))
    return std::nullopt;
  const std::vector<float> roi = to_floats(*view.constant(1));
  return roi[n + k] - roi[k];
}

/// floor(size * region * scale), in float as ONNX Runtime and the specification's reference do.
Result<Dim> scaled(const NodeView& view, const Dim& dim, std::optional<float> part, float scale) {
  if (!(scale > 0) || !std::isfinite(scale)) return view.error("scales > 0", fmt::format("{}", scale));
  if (!part) return Dim();
  if (!dim.known()) return scale == 1 && *part == 1 ? dim : Dim();
  const float size = std::floor(static_cast<float>(dim.value) * *part * scale);
  if (!(size >= 0 && size < 0x1p62F))
    return view.error("a size >= 0 that fits in 62 bits", fmt::format("{}", size));
  return Dim(static_cast<int64_t>(size));
}

/// keep_aspect_ratio_policy: one scale for all axes, the smallest or largest that the sizes ask for; halves
/// round up.
Status keep_aspect(const NodeView& view, Dims& y, const Dims& x, const std::vector<int64_t>& axes,
                   const std::vector<int64_t>& sizes) {
  const std::string policy = view.node().string_attr("keep_aspect_ratio_policy", "stretch");
  if (policy == "stretch") return {};
  const bool smaller = policy == "not_larger";
  if (!smaller && policy != "not_smaller")
    return view.error("keep_aspect_ratio_policy stretch, not_larger or not_smaller", policy);
  float scale = 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    const Dim& in = x[static_cast<size_t>(axes[i])];
    if (!in.known() || in.value == 0) {
      for (const int64_t axis : axes) y[static_cast<size_t>(axis)] = Dim();
      return {};
    }
    const float wanted = static_cast<float>(sizes[i]) / static_cast<float>(in.value);
    scale = i == 0 ? wanted : smaller ? std::min(scale, wanted) : std::max(scale, wanted);
  }
  for (const int64_t axis : axes) {
    const float size = std::floor(scale * static_cast<float>(x[static_cast<size_t>(axis)].value) + 0.5F);
    if (!(size < 0x1p62F)) return view.error("a size that fits in 62 bits", fmt::format("{}", size));
    y[static_cast<size_t>(axis)] = Dim(static_cast<int64_t>(size));
  }
  return {};
}

Status apply_sizes(const NodeView& view, Dims& y, const std::vector<int64_t>& axes) {
  const Dims x = y;
  const auto sizes = view.ints(3);
  if (!sizes || sizes->size() != axes.size())
    return view.error(fmt::format("{} sizes", axes.size()), "another list");
  for (size_t i = 0; i < axes.size(); ++i) {
    if (sizes->at(i) < 0) return view.error("sizes >= 0", std::to_string(sizes->at(i)));
    y[static_cast<size_t>(axes[i])] = Dim(sizes->at(i));
  }
  return keep_aspect(view, y, x, axes, *sizes);
}

Status apply_scales(const NodeView& view, Dims& y, const std::vector<int64_t>& axes) {
  const std::vector<float> scales = to_floats(*view.constant(2));
  if (scales.size() != axes.size())
    return view.error(fmt::format("{} scales", axes.size()), std::to_string(scales.size()));
  for (size_t i = 0; i < axes.size(); ++i) {
    Dim& dim = y[static_cast<size_t>(axes[i])];
    NARROW_TRY(dim, scaled(view, dim, region(view, i, axes.size()), scales[i]));
  }
  return {};
}

Inferred infer_resize(const NodeView& view) {
  const Known scales = known(view, 2), sizes = known(view, 3);
  if ((scales == Known::absent) == (sizes == Known::absent))
    return view.error("either scales or sizes", "both or none");
  if (!view.type(0).ranked) {
    NARROW_TRY(TensorType y, moved_unranked(view, 0));
    return Types{std::move(y)};
  }
  Dims y = view.type(0).dims;
  NARROW_TRY(const std::vector<int64_t> axes, resized_axes(view, view.type(0).rank()));
  if (sizes == Known::yes) {
    NARROW_DO(apply_sizes(view, y, axes));
  } else if (scales == Known::yes) {
    NARROW_DO(apply_scales(view, y, axes));
  } else {
    for (const int64_t axis : axes) y[static_cast<size_t>(axis)] = Dim();
  }
  NARROW_TRY(TensorType type, moved(view, 0, std::move(y)));
  return Types{std::move(type)};
}

}  // namespace

Schemas resize_ops() {
  return {{.op = Op::Resize,
           .domain = "",
           .since = 10,
           .doc = "X sampled at another size: sizes, or floor(size * scales), along axes (channels_last: in "
                  "NHWC order)",
           .inputs = {{"X", kAny},
                      {"roi", kFloats, kOptional},
                      {"scales", kF32, kOptional},
                      {"sizes", kS64, kOptional}},
           .outputs = {{"Y", kAny}},
           .infer = infer_resize}};
}

}  // namespace narrow::ir::ops
