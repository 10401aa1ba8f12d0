#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ir/ops/families.h"
#include "ir/ops/support.h"

namespace narrow::ir::ops {
namespace {

/// One dim of as many elements as `dims` together; a symbol survives beside ones.
Dim flattened(const Dims& dims) {
  Dims named, numbers;
  for (const Dim& d : dims) (d.known() ? numbers : named).push_back(d);
  const auto known = product(numbers);
  if (known && (named.empty() || *known == 0)) return Dim(*known);
  return known && *known == 1 && named.size() == 1 ? named[0] : Dim();
}

Inferred result(const NodeView& view, Dims dims) {
  NARROW_TRY(TensorType y, moved(view, 0, std::move(dims)));
  return Types{std::move(y)};
}

Inferred unranked_result(const NodeView& view) {
  NARROW_TRY(TensorType y, moved_unranked(view, 0));
  return Types{std::move(y)};
}

// ---------------------------------------------------------------- Reshape

/// What -1 stands for: the input's elements over those of the other output dims. Dims copied by 0 are on both
/// sides.
Result<Dim> inferred_dim(const NodeView& view, const Dims& left, const Dims& others) {
  Dims numbers, named;
  for (const Dim& d : left) (d.known() ? numbers : named).push_back(d);
  const auto in = product(numbers);
  const auto out = product(others);
  if (!in || !out) return Dim();
  if (*out == 0) return view.error("no 0 beside -1", "shape with both");
  if (named.size() == 1 && *in == *out) return named[0];
  if (!named.empty()) return Dim();
  if (*in % *out != 0)
    return view.error(fmt::format("a shape that {} elements fill", *in), fmt::format("{} times -1", *out));
  return Dim(*in / *out);
}

Result<Dims> reshaped(const NodeView& view, const std::vector<int64_t>& target) {
  const TensorType& x = view.type(0);
  const bool zero_is_zero = view.node().int_attr("allowzero", 0) != 0;
  Dims y, others;
  Dims left = x.dims;  // what 0 has not copied
  std::optional<size_t> open;
  for (size_t i = 0; i < target.size(); ++i) {
    const int64_t t = target[i];
    const bool copies = t == 0 && !zero_is_zero;
    if (t < -1 || (t == -1 && open) || (copies && x.ranked && i >= x.dims.size()))
      return view.error("dims >= 0 and at most one -1; 0 where the input has a dim",
                        fmt::format("{} at {}", t, i));
    if (t == -1) open = i;
    y.push_back(t == -1 ? Dim() : copies ? (x.ranked ? x.dims[i] : Dim()) : Dim(t));
    if (copies && x.ranked) left[i] = Dim(1);
    if (t != -1) others.push_back(copies ? Dim(x.ranked ? 1 : -1) : Dim(t));
  }
  if (!x.ranked) return y;
  if (open) {
    NARROW_TRY(y[*open], inferred_dim(view, left, others));
    return y;
  }
  const auto in = product(left), out = product(others);
  if (in && out && *in != *out) return view.error("as many elements as " + to_string(x.dims), to_string(y));
  return y;
}

Inferred infer_reshape(const NodeView& view) {
  NARROW_TRY(const auto length, vector_length(view, 1));
  const auto target = view.ints(1);
  if (!target) return length ? result(view, unknown_dims(*length)) : unranked_result(view);
  NARROW_TRY(Dims dims, reshaped(view, *target));
  return result(view, std::move(dims));
}

Inferred infer_flatten(const NodeView& view) {
  if (!view.type(0).ranked) return result(view, unknown_dims(2));
  const Dims& x = view.type(0).dims;
  const int64_t rank = view.type(0).rank();
  int64_t axis = view.node().int_attr("axis", 1);
  if (axis < -rank || axis > rank)
    return view.error(fmt::format("axis in [{}, {}]", -rank, rank), std::to_string(axis));
  if (axis < 0) axis += rank;
  return result(view, {flattened({x.begin(), x.begin() + axis}), flattened({x.begin() + axis, x.end()})});
}

// ---------------------------------------------------------------- Squeeze, Unsqueeze, Transpose, Expand

Inferred squeeze_ones(const NodeView& view) {
  Dims y;
  for (const Dim& d : view.type(0).dims) {
    if (!d.known()) return unranked_result(view);
    if (d.value != 1) y.push_back(d);
  }
  return result(view, std::move(y));
}

Inferred infer_squeeze(const NodeView& view) {
  if (!view.type(0).ranked) return unranked_result(view);
  if (!view.has(1)) return squeeze_ones(view);
  const Dims& x = view.type(0).dims;
  const auto given = view.ints(1);
  if (!given) {
    NARROW_TRY(const auto count, vector_length(view, 1));
    if (!count || *count == 0 || *count > view.type(0).rank()) return unranked_result(view);
    return result(view, unknown_dims(view.type(0).rank() - *count));
  }
  if (given->empty()) return squeeze_ones(view);
  NARROW_TRY(const std::vector<int64_t> axes, normalize_axes(view, *given, view.type(0).rank()));
  Dims y;
  for (size_t i = 0; i < x.size(); ++i) {
    const bool gone = std::binary_search(axes.begin(), axes.end(), static_cast<int64_t>(i));
    if (gone && x[i].known() && x[i].value != 1)
      return view.error("axes of length 1", fmt::format("axis {} of {}", i, to_string(x)));
    if (!gone) y.push_back(x[i]);
  }
  return result(view, std::move(y));
}

Inferred infer_unsqueeze(const NodeView& view) {
  NARROW_TRY(const auto count, vector_length(view, 1));
  if (!view.type(0).ranked || !count) return unranked_result(view);
  const int64_t rank = view.type(0).rank() + *count;
  const auto given = view.ints(1);
  if (!given) return result(view, unknown_dims(rank));
  NARROW_TRY(const std::vector<int64_t> axes, normalize_axes(view, *given, rank));
  Dims y = view.type(0).dims;
  for (const int64_t axis : axes)
    y.insert(y.begin() + axis, Dim(1));  // ascending, so each lands in its final place
  return result(view, std::move(y));
}

Inferred infer_transpose(const NodeView& view) {
  std::vector<int64_t> perm = view.node().ints_attr("perm");
  if (!view.type(0).ranked) return unranked_result(view);
  const Dims& x = view.type(0).dims;
  if (!view.node().has("perm")) {
    perm.resize(x.size());
    std::iota(perm.rbegin(), perm.rend(), 0);
  }
  std::vector<int64_t> sorted = perm;
  std::sort(sorted.begin(), sorted.end());
  bool good = perm.size() == x.size();
  for (size_t i = 0; good && i < sorted.size(); ++i) good = sorted[i] == static_cast<int64_t>(i);
  if (!good) return view.error(fmt::format("a permutation of {} axes in perm", x.size()), "another list");
  Dims y;
  for (const int64_t axis : perm) y.push_back(x[static_cast<size_t>(axis)]);
  return result(view, std::move(y));
}

Inferred infer_expand(const NodeView& view) {
  const auto target = view.ints(1);
  NARROW_TRY(const auto length, vector_length(view, 1));
  if (!view.type(0).ranked) return unranked_result(view);
  if (!target)
    return length ? result(view, unknown_dims(std::max(*length, view.type(0).rank())))
                  : unranked_result(view);
  Dims to;
  for (const int64_t t : *target) {
    if (t < 0) return view.error("a shape of dims >= 0", std::to_string(t));
    to.push_back(Dim(t));
  }
  NARROW_TRY(Dims y, broadcast(view, view.type(0).dims, to));
  return result(view, std::move(y));
}

}  // namespace

Schemas reshape_ops() {
  const auto unary = [](Op op, int since, const char* doc, InferFunction infer) {
    return OpSchema{.op = op,
                    .domain = "",
                    .since = since,
                    .doc = doc,
                    .inputs = {{"data", kAny}},
                    .outputs = {{"output", kAny}},
                    .infer = infer};
  };
  const auto with = [&](Parameter second, OpSchema schema) {
    schema.inputs.push_back(std::move(second));
    return schema;
  };
  return {
      with(
          {"shape", kS64},
          unary(Op::Reshape, 5,
                "the same elements under another shape; 0 copies a dim (unless allowzero), -1 takes the rest",
                infer_reshape)),
      unary(Op::Flatten, 1, "two dims: those before axis and those from axis on, multiplied", infer_flatten),
      with({"axes", kS64, kOptional},
           unary(Op::Squeeze, 1, "without the axes, all of length 1", infer_squeeze)),
      with({"axes", kS64}, unary(Op::Unsqueeze, 1, "with axes of length 1 inserted", infer_unsqueeze)),
      unary(Op::Transpose, 1, "axis i of the output is axis perm[i] of the input", infer_transpose),
      with({"shape", kS64}, unary(Op::Expand, 8, "broadcast to shape (both ways)", infer_expand))};
}

}  // namespace narrow::ir::ops
