#include <fmt/format.h>

#include "ir/ops/families.h"
#include "ir/ops/support.h"

namespace narrow::ir::ops {
namespace {

Inferred infer_det(const NodeView& view) {
  const TensorType& x = view.type(0);
  if (!x.ranked) return Types{TensorType::unranked(x.dtype)};
  if (x.rank() < 2 || !unify(x.dims[x.dims.size() - 1], x.dims[x.dims.size() - 2]))
    return view.error("square matrices", ir::to_string(x));
  return Types{ranked(x.dtype, {x.dims.begin(), x.dims.end() - 2})};
}

/// One constant number, nothing when it is not constant.
Result<std::optional<int64_t>> number(const NodeView& view, int input) {
  const auto values = view.ints(input);
  if (!values) return std::optional<int64_t>();
  if (values->size() != 1) return view.error(fmt::format("input {} of one number", input), "a list");
  return std::optional<int64_t>(values->at(0));
}

/// [..., n, ..., 1 or 2] -> [..., k, ..., 2]; k = n / 2 + 1 when onesided; 1 for the inverse of a onesided
/// one.
Inferred infer_dft(const NodeView& view) {
  const TensorType& x = view.type(0);
  if (!x.ranked) return Types{TensorType::unranked(x.dtype)};
  if (x.rank() < 2) return view.error("an input of rank 2 or more", ir::to_string(x));
  const bool onesided = view.node().int_attr("onesided", 0) != 0,
             inverse = view.node().int_attr("inverse", 0) != 0;
  Dims dims = x.dims;
  dims.back() = Dim(onesided && inverse ? 1 : 2);
  NARROW_TRY(const auto length, number(view, 1));
  NARROW_TRY(const auto stated, number(view, 2));
  const bool known_axis = stated || !view.has(2);
  NARROW_TRY(const int64_t axis, normalize_axis(view, stated.value_or(-2), x.rank()));
  if (axis == x.rank() - 1) return view.error("an axis other than the last", std::to_string(axis));
  if (!known_axis) {
    for (size_t i = 0; i + 1 < dims.size(); ++i) dims[i] = Dim();
    return Types{ranked(x.dtype, std::move(dims))};
  }
  Dim& n = dims[static_cast<size_t>(axis)];
  if (view.has(1)) n = length ? Dim(*length) : Dim();
  if (view.has(1) && length && *length < 1) return view.error("dft_length >= 1", std::to_string(*length));
  if (onesided && !inverse) n = n.known() ? Dim(n.value / 2 + 1) : Dim();
  if (onesided && inverse && !view.has(1)) n = n.known() && n.value > 0 ? Dim(2 * (n.value - 1)) : Dim();
  return Types{ranked(x.dtype, std::move(dims))};
}

/// [batch, frames, bins, 2]
Inferred infer_stft(const NodeView& view) {
  const TensorType& x = view.type(0);
  const Dim batch = x.ranked && x.rank() > 0 ? x.dims[0] : Dim();
  return Types{ranked(x.dtype, {batch, Dim(), Dim(), Dim(2)})};
}

Inferred infer_window(const NodeView& view) {
  NARROW_TRY(const DType dtype, onnx_dtype_attr(view, "output_datatype", DType::f32));
  NARROW_TRY(const auto size, number(view, 0));
  if (size && *size < 0) return view.error("a size >= 0", std::to_string(*size));
  return Types{ranked(dtype, {size ? Dim(*size) : Dim()})};
}

Inferred infer_mel(const NodeView& view) {
  NARROW_TRY(const DType dtype, onnx_dtype_attr(view, "output_datatype", DType::f32));
  return Types{ranked(dtype, unknown_dims(2))};
}

}  // namespace

Schemas signal_ops() {
  return {
      schema(Op::Det, 11, "determinants of the matrices in the last two axes", {{"X", kFloats}}, infer_det),
      schema(Op::DFT, 17,
             "discrete Fourier transform along axis; the last axis holds real and imaginary part",
             {{"input", kFloats}, {"dft_length", kIndex, kOptional}, {"axis", kS64, kOptional}}, infer_dft),
      schema(Op::STFT, 17, "DFT of windowed frames, frame_step apart",
             {{"signal", kFloats},
              {"frame_step", kIndex},
              {"window", kFloats, kOptional},
              {"frame_length", kIndex, kOptional}},
             infer_stft),
      schema(Op::HannWindow, 17, "0.5 - 0.5 cos(2 pi i / n)", {{"size", kIndex}}, infer_window),
      schema(Op::HammingWindow, 17, "25/46 - 21/46 cos(2 pi i / n)", {{"size", kIndex}}, infer_window),
      schema(Op::BlackmanWindow, 17, "0.42 - 0.5 cos(2 pi i / n) + 0.08 cos(4 pi i / n)", {{"size", kIndex}},
             infer_window),
      schema(Op::MelWeightMatrix, 17, "weights from spectrum bins to mel bands",
             {{"num_mel_bins", kIndex},
              {"dft_length", kIndex},
              {"sample_rate", kIndex},
              {"lower_edge_hertz", kFloats},
              {"upper_edge_hertz", kFloats}},
             infer_mel)};
}

}  // namespace narrow::ir::ops
