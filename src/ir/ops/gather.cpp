#include <fmt/format.h>

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

Inferred like_data(const NodeView& view) {
  NARROW_TRY(TensorType y, moved(view, 0, view.type(0).dims));
  y.ranked = view.type(0).ranked;
  return Types{std::move(y)};
}

Inferred infer_gather(const NodeView& view) {
  if (!view.type(0).ranked) return unranked_result(view);
  NARROW_TRY(const int64_t axis, normalize_axis(view, view.node().int_attr("axis", 0), view.type(0).rank()));
  if (!view.type(1).ranked) return unranked_result(view);
  const Dims& data = view.type(0).dims;
  const Dims& indices = view.type(1).dims;
  Dims y(data.begin(), data.begin() + axis);
  y.insert(y.end(), indices.begin(), indices.end());
  y.insert(y.end(), data.begin() + axis + 1, data.end());
  return result(view, std::move(y));
}

Inferred infer_gather_elements(const NodeView& view) {
  const TensorType& data = view.type(0);
  const TensorType& indices = view.type(1);
  if (data.ranked) NARROW_DO(normalize_axis(view, view.node().int_attr("axis", 0), data.rank()));
  if (data.ranked && indices.ranked && data.rank() != indices.rank())
    return view.error("indices of the data's rank", ir::to_string(data) + " and " + ir::to_string(indices));
  if (indices.ranked) return result(view, indices.dims);
  return data.ranked ? result(view, unknown_dims(data.rank())) : unranked_result(view);
}

/// Y = indices.shape[:-1] + data.shape[batch_dims + indices.shape[-1]:]
Inferred infer_gather_nd(const NodeView& view) {
  if (!view.type(0).ranked || !view.type(1).ranked) return unranked_result(view);
  const Dims& data = view.type(0).dims;
  const Dims& indices = view.type(1).dims;
  const int64_t batch = view.node().int_attr("batch_dims", 0);
  const int64_t least = std::min(view.type(0).rank(), view.type(1).rank());
  if (batch < 0 || batch >= least)
    return view.error(fmt::format("batch_dims in [0, {})", least), std::to_string(batch));
  if (!indices.back().known()) return unranked_result(view);
  const int64_t depth = indices.back().value;
  if (depth < 1 || depth > view.type(0).rank() - batch)
    return view.error("index tuples as long as the data's dimensions at most", std::to_string(depth));
  Dims y(indices.begin(), indices.end() - 1);
  y.insert(y.end(), data.begin() + batch + depth, data.end());
  return result(view, std::move(y));
}

Inferred infer_scatter_elements(const NodeView& view) {
  NARROW_DO(common_dtype(view, {0, 2}));
  if (view.type(0).ranked) {
    NARROW_DO(normalize_axis(view, view.node().int_attr("axis", 0), view.type(0).rank()));
    NARROW_TRY(const Dims indices, dims_of_rank(view, 1, view.type(0).rank()));
    NARROW_TRY(const Dims updates, dims_of_rank(view, 2, view.type(0).rank()));
    for (size_t i = 0; i < indices.size(); ++i)
      if (!unify(indices[i], updates[i]))
        return view.error("updates of the indices' shape", to_string(updates));
  }
  return like_data(view);
}

Inferred infer_scatter_nd(const NodeView& view) {
  NARROW_DO(common_dtype(view, {0, 2}));
  const TensorType& indices = view.type(1);
  if (!view.type(0).ranked || !indices.ranked) return like_data(view);
  if (indices.rank() < 1 || view.type(0).rank() < 1)
    return view.error("data and indices of rank 1 or more", ir::to_string(indices));
  const Dim& depth = indices.dims.back();
  if (!depth.known()) return like_data(view);
  const int64_t rank = view.type(0).rank();
  if (depth.value < 1 || depth.value > rank)
    return view.error(fmt::format("index tuples of 1 to {}", rank), ir::to_string(depth));
  NARROW_DO(dims_of_rank(view, 2, indices.rank() - 1 + rank - depth.value));
  return like_data(view);
}

Inferred infer_one_hot(const NodeView& view) {
  const DType dtype = view.type(2).dtype;
  const auto depth = view.ints(1);
  if (depth && (depth->size() != 1 || depth->at(0) < 0)) return view.error("one depth >= 0", "another");
  if (!view.type(0).ranked) return Types{TensorType::unranked(dtype)};
  NARROW_TRY(const int64_t axis,
             normalize_axis(view, view.node().int_attr("axis", -1), view.type(0).rank() + 1));
  Dims y = view.type(0).dims;
  y.insert(y.begin() + axis, depth ? Dim(depth->at(0)) : Dim());
  return Types{ranked(dtype, std::move(y))};
}

}  // namespace

Schemas gather_ops() {
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
  const Parameter data{"data", kAny}, indices{"indices", kIndex}, updates{"updates", kAny};
  return {op(Op::Gather, 1, "slices of data along axis, at indices (negative ones from the end)",
             {data, indices}, infer_gather),
          op(Op::GatherElements, 11, "Y[i,j] = data[indices[i,j],j] for axis 0", {data, indices},
             infer_gather_elements),
          op(Op::GatherND, 11, "slices of data at index tuples", {data, {"indices", kS64}}, infer_gather_nd),
          op(Op::ScatterElements, 11, "data with updates at indices along axis (reduction)",
             {data, indices, updates}, infer_scatter_elements),
          op(Op::ScatterND, 11, "data with updates at index tuples (reduction)",
             {data, {"indices", kS64}, updates}, infer_scatter_nd),
          op(Op::OneHot, 9, "values[1] where the new axis' index is indices, else values[0]",
             {{"indices", kNumbers}, {"depth", kNumbers}, {"values", kAny}}, infer_one_hot)};
}

}  // namespace narrow::ir::ops
