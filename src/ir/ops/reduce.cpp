#include "ir/ops/reduce.h"

#include <algorithm>
#include <numeric>

#include "ir/ops/families.h"

namespace narrow::ir::ops {
namespace {

Inferred infer_softmax(const NodeView& view) {
  NARROW_TRY(const DType dtype, real_dtype(view, {0}));
  if (view.type(0).ranked && view.type(0).rank() > 0)
    NARROW_DO(normalize_axis(view, view.node().int_attr("axis", -1), view.type(0).rank()));
  return Types{shaped_like(view.type(0), dtype)};
}

/// Axes that only the run will tell: the rank is known when keepdims keeps it or the number of axes is known.
Inferred infer_reduce_unknown_axes(const NodeView& view, DType dtype, bool keepdims) {
  const int64_t rank = view.type(0).rank();
  if (keepdims) return Types{ranked(dtype, unknown_dims(rank))};
  NARROW_TRY(const auto count, vector_length(view, 1));
  if (!count || *count == 0) return Types{TensorType::unranked(dtype)};
  if (*count > rank) return view.error("no more axes than dimensions", std::to_string(*count));
  return Types{ranked(dtype, unknown_dims(rank - *count))};
}

Inferred infer_reduce(const NodeView& view) {
  NARROW_TRY(const DType dtype, common_dtype(view, {0}));
  if (!view.type(0).ranked) return Types{TensorType::unranked(dtype)};
  const Dims& dims = view.type(0).dims;
  const bool keepdims = view.node().int_attr("keepdims", 1) != 0;
  const auto given = view.has(1) ? view.ints(1) : std::vector<int64_t>();
  if (!given) return infer_reduce_unknown_axes(view, dtype, keepdims);
  if (given->empty() && view.node().int_attr("noop_with_empty_axes", 0) != 0)
    return Types{ranked(dtype, dims)};
  NARROW_TRY(std::vector<int64_t> axes, normalize_axes(view, *given, view.type(0).rank()));
  if (axes.empty()) {
    axes.resize(dims.size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  return Types{ranked(dtype, reduced(dims, axes, keepdims))};
}

OpSchema reduce(Op op, const char* doc, DTypeSet types = kNumbers) {
  return {.op = op,
          .domain = "",
          .since = 1,
          .doc = doc,
          .inputs = {{"data", types}, {"axes", kS64, kOptional}},
          .outputs = {{"reduced", types}},
          .infer = infer_reduce};
}

OpSchema softmax(Op op, const char* doc) {
  return {.op = op,
          .domain = "",
          .since = 1,
          .doc = doc,
          .inputs = {{"input", kReals}},
          .outputs = {{"output", kReals}},
          .infer = infer_softmax};
}

}  // namespace

Dims reduced(const Dims& dims, const std::vector<int64_t>& axes, bool keepdims) {
  Dims out;
  for (size_t i = 0; i < dims.size(); ++i) {
    const bool gone = std::find(axes.begin(), axes.end(), static_cast<int64_t>(i)) != axes.end();
    if (!gone) out.push_back(dims[i]);
    if (gone && keepdims) out.push_back(Dim(1));
  }
  return out;
}

Schemas reduce_ops() {
  return {softmax(Op::Softmax, "exp(x) / sum of exp(x) along axis"),
          softmax(Op::LogSoftmax, "x - log(sum of exp(x) along axis)"),
          reduce(Op::ReduceMean, "mean over axes"),
          reduce(Op::ReduceSum, "sum over axes"),
          reduce(Op::ReduceMax, "maximum over axes", kAny),
          reduce(Op::ReduceMin, "minimum over axes", kAny),
          reduce(Op::ReduceProd, "product over axes"),
          reduce(Op::ReduceL1, "sum of |x| over axes"),
          reduce(Op::ReduceL2, "square root of the sum of x^2 over axes"),
          reduce(Op::ReduceSumSquare, "sum of x^2 over axes"),
          reduce(Op::ReduceLogSum, "log(sum of x over axes)"),
          reduce(Op::ReduceLogSumExp, "log(sum of exp(x) over axes)")};
}

}  // namespace narrow::ir::ops
