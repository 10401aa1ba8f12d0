// Ops whose output shape depends on what the data is, and copies into and out of parts of a tensor.
#include <fmt/format.h>

#include "ir/ops/families.h"
#include "ir/ops/support.h"

namespace narrow::ir::ops {
namespace {

Inferred infer_non_zero(const NodeView& view) {
  const TensorType& x = view.type(0);
  return Types{ranked(DType::s64, {x.ranked ? Dim(x.rank()) : Dim(), Dim()})};
}

Inferred infer_compress(const NodeView& view) {
  NARROW_TRY(TensorType y, moved_unranked(view, 0));
  const TensorType& x = view.type(0);
  if (!view.node().has("axis")) return Types{ranked(y.dtype, unknown_dims(1))};
  if (!x.ranked) return Types{std::move(y)};
  NARROW_TRY(const int64_t axis, normalize_axis(view, view.node().int_attr("axis", 0), x.rank()));
  Dims dims = x.dims;
  dims[static_cast<size_t>(axis)] = Dim();
  NARROW_TRY(y, moved(view, 0, std::move(dims)));
  return Types{std::move(y)};
}

Inferred infer_unique(const NodeView& view) {
  const TensorType index = ranked(DType::s64, unknown_dims(1));
  NARROW_TRY(Types types, infer_compress(view));
  types.insert(types.end(), {index, index, index});
  return types;
}

Inferred infer_non_max_suppression(const NodeView& view) {
  NARROW_DO(dims_of_rank(view, 0, 3));
  NARROW_DO(dims_of_rank(view, 1, 3));
  return Types{ranked(DType::s64, {Dim(), Dim(3)})};
}

Inferred infer_reverse_sequence(const NodeView& view) {
  const int64_t batch = view.node().int_attr("batch_axis", 1), time = view.node().int_attr("time_axis", 0);
  if (batch == time || batch < 0 || batch > 1 || time < 0 || time > 1)
    return view.error("batch_axis and time_axis 0 and 1", fmt::format("{} and {}", batch, time));
  const TensorType& x = view.type(0);
  if (!x.ranked) {
    NARROW_TRY(TensorType y, moved_unranked(view, 0));
    return Types{std::move(y)};
  }
  if (x.rank() < 2) return view.error("input of rank 2 or more", ir::to_string(x));
  NARROW_TRY(TensorType y, moved(view, 0, x.dims));
  return Types{std::move(y)};
}

Inferred infer_center_crop_pad(const NodeView& view) {
  const TensorType& x = view.type(0);
  NARROW_TRY(TensorType y, moved_unranked(view, 0));
  if (!x.ranked) return Types{std::move(y)};
  std::vector<int64_t> axes = view.node().ints_attr("axes");
  if (axes.empty())
    for (int64_t i = 0; i < x.rank(); ++i) axes.push_back(i);
  const auto shape = view.ints(1);
  if (shape && shape->size() != axes.size())
    return view.error(fmt::format("a shape of {} numbers", axes.size()), std::to_string(shape->size()));
  Dims dims = x.dims;
  for (size_t i = 0; i < axes.size(); ++i) {
    NARROW_TRY(const int64_t axis, normalize_axis(view, axes[i], x.rank()));
    if (shape && (*shape)[i] < 0) return view.error("a shape of numbers >= 0", std::to_string((*shape)[i]));
    dims[static_cast<size_t>(axis)] = shape ? Dim((*shape)[i]) : Dim();
  }
  NARROW_TRY(y, moved(view, 0, std::move(dims)));
  return Types{std::move(y)};
}

Inferred infer_tensor_scatter(const NodeView& view) {
  NARROW_TRY(const DType dtype, common_dtype(view, {0, 1}));
  const TensorType& x = view.type(0);
  if (x.ranked) NARROW_DO(normalize_axis(view, view.node().int_attr("axis", -2), x.rank()));
  return Types{shaped_like(x, dtype)};
}

}  // namespace

Schemas select_ops() {
  return {
      schema(Op::NonZero, 9, "indices of the elements other than 0, one column each", {{"X", kAny}},
             infer_non_zero, {{"Y", kS64}}),
      schema(Op::Compress, 9, "slices of input along axis (or elements of all) where condition holds",
             {{"input", kAny}, {"condition", kBool}}, infer_compress, {{"Y", kAny}}),
      schema(Op::Unique, 11, "distinct elements, or slices along axis; first index, place and number of each",
             {{"X", kAny}}, infer_unique,
             {{"Y", kAny},
              {"indices", kS64, kOptional},
              {"inverse_indices", kS64, kOptional},
              {"counts", kS64, kOptional}}),
      schema(Op::NonMaxSuppression, 10,
             "[batch, class, box] of boxes by falling score that overlap no selected box by more than "
             "iou_threshold",
             {{"boxes", kF32},
              {"scores", kF32},
              {"max_output_boxes_per_class", kS64, kOptional},
              {"iou_threshold", kF32, kOptional},
              {"score_threshold", kF32, kOptional}},
             infer_non_max_suppression, {{"selected_indices", kS64}}),
      schema(Op::ReverseSequence, 10, "the first sequence_lens[b] steps of each sequence in reverse",
             {{"input", kAny}, {"sequence_lens", kS64}}, infer_reverse_sequence, {{"Y", kAny}}),
      schema(Op::CenterCropPad, 18, "cropped or padded with 0 around the centre to shape along axes",
             {{"input_data", kAny}, {"shape", kIndex}}, infer_center_crop_pad, {{"Y", kAny}}),
      schema(Op::TensorScatter, 24, "past_cache with update written from write_indices on along axis",
             {{"past_cache", kAny}, {"update", kAny}, {"write_indices", kS64, kOptional}},
             infer_tensor_scatter, {{"Y", kAny}}),
  };
}

}  // namespace narrow::ir::ops
