#include <fmt/format.h>

#include "ir/ops/families.h"
#include "ir/ops/pool.h"
#include "ir/ops/window.h"

namespace narrow::ir::ops {

Result<std::optional<Dims>> pool_dims(const NodeView& view, int x) {
  const std::vector<int64_t> kernel = view.node().ints_attr("kernel_shape");
  if (kernel.empty() || kernel.size() > static_cast<size_t>(kMaxRank) - 2)
    return view.error("kernel_shape with a number per spatial axis",
                      fmt::format("{} numbers", kernel.size()));
  NARROW_TRY(const Window window, window_of(view, kernel));
  NARROW_TRY(Dims y, dims_of_rank(view, x, static_cast<int64_t>(kernel.size()) + 2));
  NARROW_TRY(const Layout at, layout_of(view, static_cast<int64_t>(y.size())));
  for (size_t i = 0; i < at.spatial_rank; ++i) {
    NARROW_TRY(y[at.space + i], window_positions(view, window, i, y[at.space + i]));
  }
  return std::optional(std::move(y));
}

Result<std::optional<Dims>> global_pool_dims(const NodeView& view, int x) {
  if (!view.type(x).ranked) return std::optional<Dims>();
  Dims y = view.type(x).dims;
  NARROW_TRY(const Layout at, layout_of(view, static_cast<int64_t>(y.size())));
  for (size_t i = 0; i < at.spatial_rank; ++i) y[at.space + i] = Dim(1);
  return std::optional(std::move(y));
}

namespace {

using DimsFunction = Result<std::optional<Dims>> (*)(const NodeView& view, int x);

template <DimsFunction dims_function>
Inferred infer_average(const NodeView& view) {
  NARROW_TRY(const DType dtype, real_dtype(view, {0}));
  NARROW_TRY(const auto dims, dims_function(view, 0));
  return Types{dims ? ranked(dtype, *dims) : TensorType::unranked(dtype)};
}

/// The maximum is one of the elements: it keeps their quantization.
template <DimsFunction dims_function>
Inferred infer_max(const NodeView& view) {
  NARROW_TRY(const auto dims, dims_function(view, 0));
  if (!dims) {
    NARROW_TRY(TensorType y, moved_unranked(view, 0));
    return Types{std::move(y), TensorType::unranked(DType::s64)};
  }
  NARROW_TRY(TensorType y, moved(view, 0, *dims));
  return Types{std::move(y), ranked(DType::s64, *dims)};
}

}  // namespace

Schemas pool_ops() {
  const auto pool = [](Op op, int since, const char* doc, InferFunction infer) {
    return OpSchema{.op = op,
                    .domain = "",
                    .since = since,
                    .doc = doc,
                    .inputs = {{"X", kReals}},
                    .outputs = {{"Y", kReals}},
                    .infer = infer};
  };
  OpSchema max_pool =
      pool(Op::MaxPool, 1, "largest element of each window; Indices: its place in X, flattened",
           infer_max<pool_dims>);
  max_pool.outputs.push_back({"Indices", kS64, kOptional});
  return {max_pool,
          pool(Op::AveragePool, 1, "mean of each window; count_include_pad counts padding",
               infer_average<pool_dims>),
          pool(Op::LpPool, 1, "(sum of |x|^p over each window)^(1/p)", infer_average<pool_dims>),
          pool(Op::GlobalAveragePool, 1, "mean over the spatial axes", infer_average<global_pool_dims>),
          pool(Op::GlobalMaxPool, 1, "maximum over the spatial axes", infer_max<global_pool_dims>)};
}

}  // namespace narrow::ir::ops
