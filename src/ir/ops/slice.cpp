#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "ir/ops/families.h"
#include "ir/ops/support.h"

namespace narrow::ir::ops {
namespace {

Inferred result(const NodeView& view, Dims dims) {
  NARROW_TRY(TensorType y, moved(view, 0, std::move(dims)));
  return Types{std::move(y)};
}

Inferred unranked_result(const NodeView& view) {
  NARROW_TRY(TensorType y, moved_unranked(view, 0));
  return Types{std::move(y)};
}

// ---------------------------------------------------------------- Slice

struct Cut {
  int64_t start, end, step;
};

/// Elements of an axis of `length` that start:end:step takes, bounds clamped as NumPy does.
int64_t cut_length(int64_t length, const Cut& cut) {
  const auto place = [&](int64_t at, int64_t low, int64_t high) {
    return std::clamp<Wide>(at < 0 ? Wide{at} + length : Wide{at}, low, high);
  };
  if (length == 0) return 0;
  if (cut.step > 0) {
    const Wide span = place(cut.end, 0, length) - place(cut.start, 0, length);
    return span <= 0 ? 0 : static_cast<int64_t>((span + cut.step - 1) / cut.step);
  }
  const Wide span = place(cut.start, 0, length - 1) - place(cut.end, -1, length - 1);
  const Wide stride = -Wide{cut.step};
  return span <= 0 ? 0 : static_cast<int64_t>((span + stride - 1) / stride);
}

/// An axis of unknown length stays whole under 0:end and, backwards, -1:-end:-1. Exporters write `end` as the
/// largest 32- or 64-bit number.
bool takes_all(const Cut& cut) {
  constexpr int64_t kFar = std::numeric_limits<int32_t>::max();
  return (cut.step == 1 && cut.start == 0 && cut.end >= kFar) ||
         (cut.step == -1 && cut.start == -1 && cut.end <= -kFar);
}

/// The axes that are cut; nothing when only the run will tell.
Result<std::optional<std::vector<int64_t>>> cut_axes(const NodeView& view) {
  const int64_t rank = view.type(0).rank();
  std::vector<int64_t> axes;
  if (view.has(3)) {
    const auto given = view.ints(3);
    if (!given) return std::optional<std::vector<int64_t>>();
    for (const int64_t a : *given) {
      NARROW_TRY(const int64_t axis, normalize_axis(view, a, rank));
      axes.push_back(axis);
    }
  } else {
    NARROW_TRY(const auto count, vector_length(view, 1));
    if (!count) return std::optional<std::vector<int64_t>>();
    if (*count > rank) return view.error("no more starts than dimensions", std::to_string(*count));
    axes.resize(static_cast<size_t>(*count));
    std::iota(axes.begin(), axes.end(), 0);
  }
  return std::optional(std::move(axes));
}

Inferred infer_slice(const NodeView& view) {
  if (!view.type(0).ranked) return unranked_result(view);
  Dims y = view.type(0).dims;
  NARROW_TRY(const auto axes, cut_axes(view));
  if (!axes) return result(view, unknown_dims(view.type(0).rank()));
  const auto starts = view.ints(1), ends = view.ints(2);
  const auto steps = view.has(4) ? view.ints(4) : std::vector<int64_t>(axes->size(), 1);
  const size_t n = axes->size();
  if ((starts && starts->size() != n) || (ends && ends->size() != n) || (steps && steps->size() != n))
    return view.error(fmt::format("{} starts, ends and steps", n), "lists of other lengths");
  if (steps && std::find(steps->begin(), steps->end(), 0) != steps->end())
    return view.error("steps other than 0", "0");
  for (size_t i = 0; i < n; ++i) {
    Dim& dim = y[static_cast<size_t>(axes->at(i))];
    if (!starts || !ends || !steps) {
      dim = Dim();
      continue;
    }
    const Cut cut{starts->at(i), ends->at(i), steps->at(i)};
    if (dim.known())
      dim = Dim(cut_length(dim.value, cut));
    else if (!takes_all(cut))
      dim = Dim();
  }
  return result(view, std::move(y));
}

// ---------------------------------------------------------------- Pad

Inferred infer_pad(const NodeView& view) {
  if (!view.type(0).ranked) return unranked_result(view);
  const int64_t rank = view.type(0).rank();
  const auto pads = view.ints(1);
  const auto given = view.has(3) ? view.ints(3) : std::nullopt;
  if (!pads || (view.has(3) && !given)) return result(view, unknown_dims(rank));
  std::vector<int64_t> axes(static_cast<size_t>(rank));
  std::iota(axes.begin(), axes.end(), 0);
  if (given) {
    NARROW_DO(normalize_axes(view, *given, rank));  // distinct and in range; their order matters below
    axes = *given;
  }
  if (pads->size() != 2 * axes.size())
    return view.error(fmt::format("{} pads for {} axes", 2 * axes.size(), axes.size()),
                      std::to_string(pads->size()));
  Dims y = view.type(0).dims;
  for (size_t i = 0; i < axes.size(); ++i) {
    Dim& dim = y[static_cast<size_t>(axes[i] < 0 ? axes[i] + rank : axes[i])];
    const Wide more = Wide{pads->at(i)} + pads->at(axes.size() + i);
    if (!dim.known()) {
      if (more != 0) dim = Dim();
      continue;
    }
    const auto size = as_dim(dim.value + more);
    if (!size)
      return view.error("pads that leave a size >= 0", fmt::format("axis {} of {}", axes[i], to_string(y)));
    dim = Dim(*size);
  }
  return result(view, std::move(y));
}

}  // namespace

Schemas slice_ops() {
  return {{.op = Op::Slice,
           .domain = "",
           .since = 1,
           .doc = "data[start:end:step] along axes, bounds clamped as in NumPy",
           .inputs = {{"data", kAny},
                      {"starts", kIndex},
                      {"ends", kIndex},
                      {"axes", kIndex, kOptional},
                      {"steps", kIndex, kOptional}},
           .outputs = {{"output", kAny}},
           .infer = infer_slice},
          {.op = Op::Pad,
           .domain = "",
           .since = 1,
           .doc = "data with pads around it (mode constant, reflect, edge, wrap); negative pads cut",
           .inputs = {{"data", kAny},
                      {"pads", kS64},
                      {"constant_value", kAny, kOptional},
                      {"axes", kIndex, kOptional}},
           .outputs = {{"output", kAny}},
           .infer = infer_pad}};
}

}  // namespace narrow::ir::ops
