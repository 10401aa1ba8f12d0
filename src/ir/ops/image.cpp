// Sampling of images at computed places.
#include <fmt/format.h>

#include "ir/ops/families.h"
#include "ir/ops/support.h"

namespace narrow::ir::ops {
namespace {

Inferred infer_grid_sample(const NodeView& view) {
  const TensorType &x = view.type(0), &grid = view.type(1);
  NARROW_TRY(const DType dtype, out_dtype(view, x.dtype));
  if (!x.ranked || !grid.ranked) return Types{TensorType::unranked(dtype)};
  if (x.rank() < 3 || grid.rank() != x.rank() ||
      (grid.dims.back().known() && grid.dims.back().value != x.rank() - 2))
    return view.error("X [N,C,D1,...,Dr] and grid [N,...,r]",
                      ir::to_string(x) + " and " + ir::to_string(grid));
  Dims dims = grid.dims;
  dims.pop_back();
  dims.insert(dims.begin() + 1, x.dims[1]);
  return Types{ranked(dtype, std::move(dims))};
}

Inferred infer_affine_grid(const NodeView& view) {
  const DType dtype = view.type(0).dtype;
  NARROW_TRY(const auto length, vector_length(view, 1));
  if (!length) return Types{TensorType::unranked(dtype)};
  if (*length != 4 && *length != 5)
    return view.error("a size [N,C,H,W] or [N,C,D,H,W]", std::to_string(*length) + " numbers");
  Dims dims = unknown_dims(*length);
  if (const auto size = view.ints(1)) {
    dims = {Dim((*size)[0])};
    for (size_t i = 2; i < size->size(); ++i) dims.emplace_back((*size)[i]);
    dims.emplace_back(*length - 2);
    for (const Dim& d : dims)
      if (d.value < 0) return view.error("a size of numbers >= 0", to_string(dims));
  }
  return Types{ranked(dtype, std::move(dims))};
}

Inferred infer_roi_align(const NodeView& view) {
  const TensorType& x = view.type(0);
  NARROW_TRY(const Dims rois, dims_of_rank(view, 1, 2));
  NARROW_TRY(const Dims image, dims_of_rank(view, 0, 4));
  const int64_t height = view.node().int_attr("output_height", 1),
                width = view.node().int_attr("output_width", 1);
  if (height < 1 || width < 1)
    return view.error("an output of size >= 1", fmt::format("{} x {}", height, width));
  return Types{ranked(x.dtype, {rois[0], image[1], Dim(height), Dim(width)})};
}

/// (x - 1) * stride - pads + kernel, or what output_shape says.
Inferred infer_max_unpool(const NodeView& view) {
  const TensorType& x = view.type(0);
  if (!x.ranked) return Types{TensorType::unranked(x.dtype)};
  const size_t spatial = x.dims.size() - std::min<size_t>(2, x.dims.size());
  if (view.has(2)) {
    const auto shape = view.ints(2);
    if (!shape) return Types{ranked(x.dtype, unknown_dims(x.rank()))};
    if (std::ssize(*shape) != x.rank())
      return view.error("an output_shape of the rank of X", narrow::to_string(*shape));
    for (const int64_t d : *shape)
      if (d < 0) return view.error("an output_shape of numbers >= 0", std::to_string(d));
    return Types{TensorType::of(x.dtype, *shape)};
  }
  const std::vector<int64_t> kernel = view.node().ints_attr("kernel_shape");
  const std::vector<int64_t> strides = view.node().ints_attr("strides", std::vector<int64_t>(spatial, 1));
  const std::vector<int64_t> pads = view.node().ints_attr("pads", std::vector<int64_t>(2 * spatial, 0));
  if (kernel.size() != spatial || strides.size() != spatial || pads.size() != 2 * spatial || spatial == 0)
    return view.error("kernel_shape, strides and pads of X's spatial axes", ir::to_string(x));
  Dims dims = x.dims;
  for (size_t i = 0; i < spatial; ++i) {
    Dim& d = dims[i + 2];
    if (!d.known()) continue;
    const auto size = as_dim((Wide{d.value} - 1) * strides[i] - pads[i] - pads[i + spatial] + kernel[i]);
    if (!size) return view.error("an output of size >= 0", ir::to_string(x));
    d = Dim(*size);
  }
  return Types{ranked(x.dtype, std::move(dims))};
}

/// [N, C * block, L] -> [N, C, image...]
Inferred infer_col2im(const NodeView& view) {
  const TensorType& x = view.type(0);
  NARROW_TRY(const Dims columns, dims_of_rank(view, 0, 3));
  NARROW_TRY(const auto length, vector_length(view, 1));
  if (!length) return Types{TensorType::unranked(x.dtype)};
  Dims dims = unknown_dims(*length + 2);
  dims[0] = columns[0];
  if (const auto block = view.ints(2); block && columns[1].known()) {
    Wide product = 1;
    for (const int64_t b : *block) product = b < 1 || product > (Wide{1} << 62) ? Wide{0} : product * b;
    if (product < 1 || columns[1].value % product != 0)
      return view.error("channels divisible by the size of block_shape", ir::to_string(x));
    dims[1] = Dim(static_cast<int64_t>(columns[1].value / product));
  }
  if (const auto image = view.ints(1))
    for (size_t i = 0; i < image->size(); ++i) {
      if ((*image)[i] < 0) return view.error("an image_shape of numbers >= 0", std::to_string((*image)[i]));
      dims[i + 2] = Dim((*image)[i]);
    }
  return Types{ranked(x.dtype, std::move(dims))};
}

/// The offsets come one pair per output pixel: they have the output's size.
Inferred infer_deform_conv(const NodeView& view) {
  const TensorType& x = view.type(0);
  NARROW_TRY(const Dims image, dims_of_rank(view, 0, 4));
  NARROW_TRY(const Dims weights, dims_of_rank(view, 1, 4));
  NARROW_TRY(const Dims offsets, dims_of_rank(view, 2, 4));
  return Types{ranked(x.dtype, {image[0], weights[0], offsets[2], offsets[3]})};
}

}  // namespace

Schemas image_ops() {
  return {schema(Op::GridSample, 16, "X interpolated at the places of grid, where [-1, 1] spans an axis",
                 {{"X", kFloats}, {"grid", kFloats}}, infer_grid_sample),
          schema(Op::AffineGrid, 20, "the places of an image of that size, moved by theta: for GridSample",
                 {{"theta", kFloats}, {"size", kS64}}, infer_affine_grid),
          schema(Op::RoiAlign, 10, "mean or maximum of interpolated samples in each bin of each region",
                 {{"X", kFloats}, {"rois", kFloats}, {"batch_indices", kS64}}, infer_roi_align),
          schema(Op::MaxUnpool, 9, "X scattered to the indices that MaxPool gave, 0 elsewhere",
                 {{"X", kFloats}, {"I", kS64}, {"output_shape", kS64, kOptional}}, infer_max_unpool),
          schema(Op::Col2Im, 18, "blocks summed back into the image they were taken from",
                 {{"input", kNumbers}, {"image_shape", kS64}, {"block_shape", kS64}}, infer_col2im),
          schema(Op::DeformConv, 19, "convolution whose taps are moved by offset and weighted by mask",
                 {{"X", kFloats},
                  {"W", kFloats},
                  {"offset", kFloats},
                  {"B", kFloats, kOptional},
                  {"mask", kFloats, kOptional}},
                 infer_deform_conv)};
}

}  // namespace narrow::ir::ops
