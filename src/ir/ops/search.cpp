#include "ir/ops/families.h"
#include "ir/ops/reduce.h"
#include "ir/ops/support.h"

namespace narrow::ir::ops {
namespace {

Inferred infer_arg(const NodeView& view) {
  if (!view.type(0).ranked) return Types{TensorType::unranked(DType::s64)};
  NARROW_TRY(const int64_t axis, normalize_axis(view, view.node().int_attr("axis", 0), view.type(0).rank()));
  const bool keepdims = view.node().int_attr("keepdims", 1) != 0;
  return Types{ranked(DType::s64, reduced(view.type(0).dims, {axis}, keepdims))};
}

Inferred infer_top_k(const NodeView& view) {
  if (!view.type(0).ranked) {
    NARROW_TRY(TensorType values, moved_unranked(view, 0));
    return Types{std::move(values), TensorType::unranked(DType::s64)};
  }
  Dims dims = view.type(0).dims;
  NARROW_TRY(const int64_t axis, normalize_axis(view, view.node().int_attr("axis", -1), view.type(0).rank()));
  Dim& dim = dims[static_cast<size_t>(axis)];
  const auto k = view.ints(1);
  if (k && (k->size() != 1 || k->at(0) < 0 || (dim.known() && k->at(0) > dim.value)))
    return view.error("one K between 0 and the length of the axis",
                      k->size() == 1 ? std::to_string(k->at(0)) : "a list");
  dim = k ? Dim(k->at(0)) : Dim();
  NARROW_TRY(TensorType values, moved(view, 0, dims));
  return Types{std::move(values), ranked(DType::s64, std::move(dims))};
}

Inferred infer_cumsum(const NodeView& view) {
  NARROW_TRY(const DType dtype, common_dtype(view, {0}));
  const auto axis = view.ints(1);
  if (axis && axis->size() != 1) return view.error("one axis", "a list");
  if (axis && view.type(0).ranked) NARROW_DO(normalize_axis(view, axis->at(0), view.type(0).rank()));
  return Types{shaped_like(view.type(0), dtype)};
}

Inferred infer_hardmax(const NodeView& view) {
  const TensorType& x = view.type(0);
  if (x.ranked) NARROW_DO(normalize_axis(view, view.node().int_attr("axis", -1), x.rank()));
  return Types{shaped_like(x, x.dtype)};
}

OpSchema arg(Op op, const char* doc) {
  return {.op = op,
          .domain = "",
          .since = 1,
          .doc = doc,
          .inputs = {{"data", kNumbers}},
          .outputs = {{"reduced", kS64}},
          .infer = infer_arg};
}

}  // namespace

Schemas search_ops() {
  return {arg(Op::ArgMax, "index of the maximum along axis; the last of equals with select_last_index = 1"),
          arg(Op::ArgMin, "index of the minimum along axis; the last of equals with select_last_index = 1"),
          {.op = Op::TopK,
           .domain = "",
           .since = 1,
           .doc = "the K largest (smallest with largest = 0) elements along axis, and their indices",
           .inputs = {{"X", kNumbers}, {"K", kS64}},
           .outputs = {{"Values", kNumbers}, {"Indices", kS64}},
           .infer = infer_top_k},
          {.op = Op::CumSum,
           .domain = "",
           .since = 11,
           .doc = "running sum along axis (exclusive, reverse)",
           .inputs = {{"x", kNumbers}, {"axis", kIndex}},
           .outputs = {{"y", kNumbers}},
           .infer = infer_cumsum},
          {.op = Op::CumProd,
           .domain = "",
           .since = 26,
           .doc = "running product along axis (exclusive, reverse)",
           .inputs = {{"x", kNumbers}, {"axis", kIndex}},
           .outputs = {{"y", kNumbers}},
           .infer = infer_cumsum},
          {.op = Op::Hardmax,
           .domain = "",
           .since = 1,
           .doc = "1 at the first maximum along axis, 0 elsewhere",
           .inputs = {{"input", kFloats}},
           .outputs = {{"output", kFloats}},
           .infer = infer_hardmax}};
}

}  // namespace narrow::ir::ops
