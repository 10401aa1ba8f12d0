// Bilinear samples inside images: RoiAlign and DeformConv.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

/// The four pixels around (y, x) and what each adds to the bilinear value.
struct Corners {
  std::array<int64_t, 4> at{};
  std::array<double, 4> weight{};
};

/// RoiAlign's rule: within one pixel outside the border the value of the border, beyond it 0.
Corners roi_corners(double y, double x, int64_t height, int64_t width) {
  Corners c;
  if (!(y >= -1 && y <= static_cast<double>(height) && x >= -1 && x <= static_cast<double>(width))) return c;
  y = std::max(y, 0.0);
  x = std::max(x, 0.0);
  const int64_t y0 = std::min(static_cast<int64_t>(y), height - 1),
                x0 = std::min(static_cast<int64_t>(x), width - 1);
  const int64_t y1 = std::min(y0 + 1, height - 1), x1 = std::min(x0 + 1, width - 1);
  const double ly = y1 == y0 ? 0 : y - static_cast<double>(y0),
               lx = x1 == x0 ? 0 : x - static_cast<double>(x0);
  c.at = {y0 * width + x0, y0 * width + x1, y1 * width + x0, y1 * width + x1};
  c.weight = {(1 - ly) * (1 - lx), (1 - ly) * lx, ly * (1 - lx), ly * lx};
  return c;
}

/// Pixels outside the image are 0.
template <class T>
double bilinear(const T* image, int64_t height, int64_t width, double y, double x) {
  if (!(y > -1 && y < static_cast<double>(height) && x > -1 && x < static_cast<double>(width))) return 0;
  const double fy = std::floor(y), fx = std::floor(x), ly = y - fy, lx = x - fx;
  const auto y0 = static_cast<int64_t>(fy), x0 = static_cast<int64_t>(fx);
  const auto pixel = [&](int64_t i, int64_t j) {
    return i < 0 || j < 0 || i >= height || j >= width ? 0.0 : static_cast<double>(image[i * width + j]);
  };
  return (1 - ly) * ((1 - lx) * pixel(y0, x0) + lx * pixel(y0, x0 + 1)) +
         ly * ((1 - lx) * pixel(y0 + 1, x0) + lx * pixel(y0 + 1, x0 + 1));
}

constexpr int64_t kMaxSamples = 1 << 16;  // per bin: larger regions than any image

struct Bins {
  double y, x, height, width;  // start of the region, size of a bin
  int64_t rows, columns;       // samples per bin
};

Result<Bins> bins(const ir::Node& node, const double* roi, int64_t height, int64_t width) {
  const double scale = static_cast<double>(node.float_attr("spatial_scale", 1));
  const bool half = node.string_attr("coordinate_transformation_mode", "half_pixel") == "half_pixel";
  const double offset = half ? 0.5 : 0;
  const double x0 = roi[0] * scale - offset, y0 = roi[1] * scale - offset, x1 = roi[2] * scale - offset,
               y1 = roi[3] * scale - offset;
  const double w = half ? x1 - x0 : std::max(x1 - x0, 1.0), h = half ? y1 - y0 : std::max(y1 - y0, 1.0);
  Bins b{y0, x0, h / static_cast<double>(height), w / static_cast<double>(width), 0, 0};
  const int64_t ratio = node.int_attr("sampling_ratio", 0);
  const double rows = ratio > 0 ? static_cast<double>(ratio) : std::ceil(b.height),
               columns = ratio > 0 ? static_cast<double>(ratio) : std::ceil(b.width);
  if (!(rows * columns <= static_cast<double>(kMaxSamples)) || !(std::abs(rows) <= kMaxSamples) ||
      !(std::abs(columns) <= kMaxSamples))
    return invalid(node, fmt::format("at most {} samples per bin", kMaxSamples),
                   fmt::format("{} x {}", rows, columns));
  b.rows = static_cast<int64_t>(std::max(rows, 0.0));
  b.columns = static_cast<int64_t>(std::max(columns, 0.0));
  return b;
}

}  // namespace

Outputs eval_roi_align(const ir::Node& node, Inputs inputs) {
  const Tensor &x = *inputs[0], &rois = *inputs[1];
  const int64_t height = node.int_attr("output_height", 1), width = node.int_attr("output_width", 1);
  if (x.rank() != 4 || rois.rank() != 2 || rois.dim(1) != 4 || inputs[2]->elements() != rois.dim(0) ||
      height < 1 || width < 1)
    return invalid(node, "X [N,C,H,W], rois [n,4], n batch_indices, an output of size >= 1",
                   to_string(x.shape()) + " and " + to_string(rois.shape()));
  const bool maximum = node.string_attr("mode", "avg") == "max";
  const std::vector<double> corners = to_doubles(rois), image = to_doubles(x);
  const std::vector<int64_t> batch = to_ints(*inputs[2]);
  const int64_t channels = x.dim(1), pixels = x.dim(2) * x.dim(3);
  NARROW_TRY(Tensor y, make_tensor(node, DType::f64, {rois.dim(0), channels, height, width}));
  double* out = y.mutable_data<double>().data();
  for (int64_t r = 0; pixels > 0 && r < rois.dim(0); ++r) {
    const int64_t n = batch[static_cast<size_t>(r)];
    if (n < 0 || n >= x.dim(0)) return invalid(node, "batch_indices inside the batch", std::to_string(n));
    NARROW_TRY(const Bins b, bins(node, corners.data() + r * 4, height, width));
    const double count = static_cast<double>(std::max<int64_t>(b.rows * b.columns, 1));
    for (int64_t cell = 0; cell < height * width; ++cell)
      for (int64_t c = 0; c < channels; ++c) {
        const double* plane = image.data() + (n * channels + c) * pixels;
        double sum = 0, max = 0;
        for (int64_t s = 0; s < b.rows * b.columns; ++s) {
          const int64_t cell_row = cell / width, sample_row = s / b.columns;
          const double sy =
              b.y + b.height * (static_cast<double>(cell_row) +
                                (static_cast<double>(sample_row) + 0.5) / static_cast<double>(b.rows));
          const double sx =
              b.x + b.width * (static_cast<double>(cell % width) +
                               (static_cast<double>(s % b.columns) + 0.5) / static_cast<double>(b.columns));
          const Corners at = roi_corners(sy, sx, x.dim(2), x.dim(3));
          double best = -INFINITY;  // ONNX takes the largest weighted corner, not the largest sample
          for (size_t k = 0; k < 4; ++k) {
            const double v = at.weight[k] * plane[at.at[k]];
            sum += v;
            best = std::max(best, v);
          }
          max = s == 0 ? best : std::max(max, best);
        }
        out[(r * channels + c) * height * width + cell] = maximum ? max : sum / count;
      }
  }
  return one(cast(y, x.dtype()));
}

/// y[n,o,p] = b[o] + sum over c,k of W[o,c,k] * mask[n,k,p] * x[n,c](p * stride - pad + k * dilation +
/// offset[n,k,p])
Outputs eval_deform_conv(const ir::Node& node, Inputs inputs) {
  const Tensor &x = *inputs[0], &w = *inputs[1], &offset = *inputs[2];
  const int64_t group = node.int_attr("group", 1), parts = node.int_attr("offset_group", 1);
  const std::vector<int64_t> strides = node.ints_attr("strides", {1, 1}),
                             dilations = node.ints_attr("dilations", {1, 1}),
                             pads = node.ints_attr("pads", {0, 0, 0, 0});
  if (x.rank() != 4 || w.rank() != 4 || offset.rank() != 4 || group < 1 || parts < 1 ||
      x.dim(1) % parts != 0 || w.dim(0) % group != 0 || x.dim(1) != w.dim(1) * group || strides.size() != 2 ||
      dilations.size() != 2 || pads.size() != 4)
    return invalid(node, "X [N,C,H,W], W [O,C/group,kH,kW] and attributes of two axes",
                   to_string(x.shape()) + " and " + to_string(w.shape()));
  const int64_t taps = w.dim(2) * w.dim(3), points = offset.dim(2) * offset.dim(3), outs = w.dim(0),
                ins = w.dim(1);
  const Tensor *bias = optional_input(inputs, 3), *mask = optional_input(inputs, 4);
  if (offset.dim(0) != x.dim(0) || offset.dim(1) != parts * taps * 2 ||
      (bias != nullptr && bias->elements() != outs) ||
      (mask != nullptr && mask->shape() != Shape{x.dim(0), parts * taps, offset.dim(2), offset.dim(3)}))
    return invalid(node, "offset [N, offset_group * kH * kW * 2, oH, oW], a mask half as deep, O biases",
                   to_string(offset.shape()));
  NARROW_TRY(Tensor y, make_tensor(node, DType::f64, {x.dim(0), outs, offset.dim(2), offset.dim(3)}));
  const std::vector<double> image = to_doubles(x), weight = to_doubles(w), moves = to_doubles(offset),
                            scale = mask != nullptr ? to_doubles(*mask) : std::vector<double>(),
                            add = bias != nullptr ? to_doubles(*bias)
                                                  : std::vector<double>(static_cast<size_t>(outs));
  for (int64_t i = 0; i < y.elements(); ++i) {
    const int64_t p = i % points, o = i / points % outs, n = i / points / outs;
    double sum = add[static_cast<size_t>(o)];
    for (int64_t ct = 0; ct < ins * taps; ++ct) {
      const int64_t c = o / (outs / group) * ins + ct / taps, t = ct % taps;
      const int64_t tap = n * parts * taps + c / (x.dim(1) / parts) * taps + t;
      const int64_t row = p / offset.dim(3), tap_row = t / w.dim(3);
      const double sy = static_cast<double>(row * strides[0] - pads[0] + tap_row * dilations[0]) +
                        moves[static_cast<size_t>(2 * tap * points + p)];
      const double sx =
          static_cast<double>(p % offset.dim(3) * strides[1] - pads[1] + t % w.dim(3) * dilations[1]) +
          moves[static_cast<size_t>((2 * tap + 1) * points + p)];
      const double value =
          bilinear(image.data() + (n * x.dim(1) + c) * x.dim(2) * x.dim(3), x.dim(2), x.dim(3), sy, sx);
      sum += weight[static_cast<size_t>(o * ins * taps + ct)] * value *
             (mask != nullptr ? scale[static_cast<size_t>(tap * points + p)] : 1);
    }
    y.mutable_data<double>()[static_cast<size_t>(i)] = sum;
  }
  return one(cast(y, x.dtype()));
}

}  // namespace narrow::runtime::reference
