#include "artifact/sparse_layout.h"

#include "numerics/packing.h"

namespace narrow::artifact {

Tensor background(DType dtype, const Shape& shape, const SparseFill* fill) {
  Tensor zero = Tensor::zeros(dtype, shape);
  if (fill == nullptr) return zero;
  const auto* points = static_cast<const std::byte*>(fill->zero_point.raw());
  auto* out = static_cast<std::byte*>(zero.mutable_raw());
  const int64_t count = fill->zero_point.elements();
  const Lines lines(shape, {.axis = fill->axis, .run = 1});
  const int64_t groups = fill->block > 0 ? (lines.extent + fill->block - 1) / fill->block : 0;
  for (int64_t o = 0; o < lines.outer; ++o)
    for (int64_t at = 0; at < lines.extent; ++at, out += lines.inner) {
      if (count == 1 || groups == 0)
        std::fill_n(out, lines.inner, points[count == 1 ? 0 : at]);
      else
        std::copy_n(points + (o * groups + at / fill->block) * lines.inner, lines.inner, out);
    }
  return zero;
}

bool fits(const SparseFill& fill, DType dtype, const Shape& shape) {
  const auto rank = static_cast<int64_t>(shape.size());
  if (fill.zero_point.dtype() != dtype || bytes_of(dtype) != 1 || fill.axis < 0 || fill.axis >= rank ||
      fill.block < 0)
    return false;
  if (fill.zero_point.elements() == 1) return true;
  const int64_t extent = shape[static_cast<size_t>(fill.axis)];
  if (fill.block == 0) return fill.zero_point.elements() == extent;
  Shape wanted = shape;
  wanted[static_cast<size_t>(fill.axis)] = (extent + fill.block - 1) / fill.block;
  return fill.zero_point.elements() == elements_of(wanted);
}

int64_t mask_bytes(int64_t runs, const SparseForm& form) {
  return form.two_of_four ? packed_bytes(runs / 4, kPairBits) : packed_bytes(runs, 1);
}

int64_t kept_in(const std::vector<uint8_t>& mask, const Lines& lines) {
  int64_t count = 0;
  for (size_t r = 0; r < mask.size(); ++r)
    if (mask[r] != 0) count += lines.length(static_cast<int64_t>(r) % lines.runs_per_line);
  return count;
}

}  // namespace narrow::artifact
