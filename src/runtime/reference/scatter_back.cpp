// The way back from windows to images: MaxUnpool and Col2Im.
#include <fmt/format.h>

#include <algorithm>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {

/// X goes to the flat indices of an image of size (d - 1) * stride - pads + kernel; output_shape puts that
/// image into the corner of a larger one.
Outputs eval_max_unpool(const ir::Node& node, Inputs inputs) {
  const Tensor &x = *inputs[0], &indices = *inputs[1];
  const size_t spatial = static_cast<size_t>(std::max<int64_t>(x.rank() - 2, 0));
  const std::vector<int64_t> kernel = node.ints_attr("kernel_shape"),
                             strides = node.ints_attr("strides", std::vector<int64_t>(spatial, 1)),
                             pads = node.ints_attr("pads", std::vector<int64_t>(2 * spatial, 0));
  if (spatial == 0 || kernel.size() != spatial || strides.size() != spatial || pads.size() != 2 * spatial ||
      indices.shape() != x.shape() || indices.dtype() != DType::s64)
    return invalid(node, "kernel_shape, strides, pads of the spatial axes and indices like X",
                   to_string(x.shape()));
  Shape shape = x.shape();
  constexpr int64_t kLimit = int64_t{1} << 31;
  for (size_t i = 0; i < spatial; ++i) {
    for (const int64_t v : {shape[i + 2], strides[i], kernel[i], pads[i], pads[i + spatial]})
      if (v < 0 || v > kLimit) return invalid(node, "sizes in [0, 2^31]", std::to_string(v));
    shape[i + 2] = (shape[i + 2] - 1) * strides[i] - pads[i] - pads[i + spatial] + kernel[i];
  }
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), shape));
  if (y.bytes() > 0) std::memset(y.mutable_raw(), 0, static_cast<size_t>(y.bytes()));
  NARROW_DO(for_words(node, x.dtype(), [&](auto word) -> Outputs {
    using Word = decltype(word);
    for (int64_t i = 0; i < x.elements(); ++i) {
      const int64_t to = indices.data<int64_t>()[static_cast<size_t>(i)];
      if (to < 0 || to >= y.elements())
        return invalid(node, fmt::format("indices in [0, {})", y.elements()), std::to_string(to));
      mutable_words<Word>(y)[to] = words<Word>(x)[i];
    }
    return std::vector<Tensor>{};
  }));
  const Tensor* larger = optional_input(inputs, 2);
  if (larger == nullptr) return one(std::move(y));
  NARROW_TRY(const std::vector<int64_t> wanted, int_list(node, larger));
  if (wanted.size() != shape.size())
    return invalid(node, "an output_shape of the rank of X", std::to_string(wanted.size()));
  NARROW_TRY(const Tensor room, make_tensor(node, x.dtype(), wanted));  // checks the size before the tables
  std::vector<std::vector<int64_t>> tables(shape.size());
  for (size_t d = 0; d < shape.size(); ++d)
    for (int64_t i = 0; i < wanted[d]; ++i) tables[d].push_back(i < shape[d] ? i : -1);
  constexpr uint64_t kZero = 0;
  NARROW_TRY(Tensor padded, gather_by_tables(node, y, tables, &kZero));
  return one(std::move(padded));
}

/// image[n, c, l * stride + b * dilation - pad] += columns[n, c * |block| + b, l] for every block place l and
/// element b.
Outputs eval_col2im(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(const Shape image, int_list(node, inputs[1]));
  NARROW_TRY(const Shape block, int_list(node, inputs[2]));
  const size_t rank = image.size();
  const std::vector<int64_t> strides = node.ints_attr("strides", std::vector<int64_t>(rank, 1)),
                             dilations = node.ints_attr("dilations", std::vector<int64_t>(rank, 1)),
                             pads = node.ints_attr("pads", std::vector<int64_t>(2 * rank, 0));
  if (x.rank() != 3 || rank == 0 || block.size() != rank || strides.size() != rank ||
      dilations.size() != rank || pads.size() != 2 * rank)
    return invalid(node, "[N, C * block, L] and attributes of the image's axes", to_string(x.shape()));
  constexpr int64_t kLimit = int64_t{1} << 31;
  Shape places(rank);  // blocks along each axis
  for (size_t d = 0; d < rank; ++d) {
    for (const int64_t v : {image[d], block[d], strides[d], dilations[d], pads[d], pads[d + rank]})
      if (v < 0 || v > kLimit) return invalid(node, "sizes in [0, 2^31]", std::to_string(v));
    if (block[d] < 1 || strides[d] < 1) return invalid(node, "blocks and strides >= 1", "0");
    const int64_t room = image[d] + pads[d] + pads[d + rank] - dilations[d] * (block[d] - 1) - 1;
    places[d] = room < 0 ? 0 : room / strides[d] + 1;
  }
  NARROW_TRY(const int64_t taps, checked_elements(block, 1));
  NARROW_TRY(const int64_t count, checked_elements(places, 1));
  if (x.dim(1) % taps != 0 || x.dim(2) != count)
    return invalid(node, fmt::format("[N, C * {}, {}]", taps, count), to_string(x.shape()));
  Shape shape = {x.dim(0), x.dim(1) / taps};
  shape.insert(shape.end(), image.begin(), image.end());
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), shape));
  const std::vector<int64_t> steps = row_major_strides(image), block_steps = row_major_strides(block),
                             place_steps = row_major_strides(places);
  const int64_t pixels = elements_of(image);
  return for_numbers(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    std::vector<Sum<T>> sums(static_cast<size_t>(y.elements()), Sum<T>{});
    for (int64_t i = 0; i < x.elements(); ++i) {
      const int64_t l = i % count, row = i / count, b = row % taps;
      int64_t at = row / taps * pixels;
      bool inside = true;
      for (size_t d = 0; inside && d < rank; ++d) {
        const int64_t p = l / place_steps[d] % places[d] * strides[d] +
                          b / block_steps[d] % block[d] * dilations[d] - pads[d];
        inside = p >= 0 && p < image[d];
        at += p * steps[d];
      }
      if (inside) sums[static_cast<size_t>(at)] += static_cast<Sum<T>>(x.data<T>()[static_cast<size_t>(i)]);
    }
    std::transform(sums.begin(), sums.end(), y.mutable_data<T>().begin(),
                   [](auto s) { return static_cast<T>(s); });
    return one(std::move(y));
  });
}

}  // namespace narrow::runtime::reference
