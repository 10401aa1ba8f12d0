// Resize: separable, one axis after the other. Per axis every output position has the input position it shows
// (nearest) or a few with weights (linear, cubic; antialias widens the kernel by 1 / scale when shrinking).
// channels_last changes nothing here: scales, sizes and axes count the axes as the data lies.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

/// One axis: sizes, and what the coordinate transformation needs. Coordinates are computed in float, as ONNX
/// Runtime does: which pixel `floor` picks hangs on it.
struct Axis {
  int64_t in = 1, out = 1;
  float scale = 1, length = 1;  // length: in * scale before it is cut off to `out`
  float roi_begin = 0, roi_end = 1;
};

struct Options {
  std::string coordinates, mode, nearest;
  double cubic_a;
  bool exclude_outside, antialias;
};

/// Where output position i lies in the input.
float source(const Axis& a, const std::string& mode, int64_t position) {
  const auto i = static_cast<float>(position), last = static_cast<float>(a.in - 1);
  if (mode == "align_corners") return a.length == 1 ? 0 : i * last / (a.length - 1);
  if (mode == "asymmetric") return i / a.scale;
  if (mode == "tf_crop_and_resize") {
    const float roi = a.roi_end - a.roi_begin;
    return a.roi_begin * last + (a.length == 1 ? roi * last / 2 : i * roi * last / (a.length - 1));
  }
  if (mode == "pytorch_half_pixel" && a.out <= 1) return 0;
  const float half_pixel = (i + 0.5F) / a.scale - 0.5F;
  if (mode == "half_pixel_symmetric")
    return half_pixel + static_cast<float>(a.in) / 2 * (1 - static_cast<float>(a.out) / a.length);
  return half_pixel;
}

bool outside(const Axis& a, const std::string& coordinates, float x) {
  return coordinates == "tf_crop_and_resize" && !(x >= 0 && x <= static_cast<float>(a.in - 1));
}

float round_nearest(const std::string& mode, float x) {
  if (mode == "floor") return std::floor(x);
  if (mode == "ceil") return std::ceil(x);
  return mode == "round_prefer_ceil" ? std::floor(x + 0.5F) : std::ceil(x - 0.5F);
}

/// The interpolation kernel: a triangle, or Keys' cubic with parameter a.
double kernel_value(bool cubic, double a, double x) {
  x = std::abs(x);
  if (!cubic) return std::max(0.0, 1 - x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

struct Taps {
  std::vector<int64_t> from;  // empty: outside, the extrapolation value
  std::vector<double> weight;
};

Taps taps_at(const Axis& a, const Options& o, float x) {
  if (outside(a, o.coordinates, x)) return {};
  const bool cubic = o.mode == "cubic";
  const double shrink = o.antialias ? std::min(static_cast<double>(a.scale), 1.0) : 1.0;
  const auto reach = static_cast<int64_t>(std::ceil((cubic ? 2 : 1) / shrink));
  const double left = static_cast<double>(std::ceil(x)) - 1;  // the neighbour strictly below x
  Taps t;
  double sum = 0;
  for (int64_t j = 1 - reach; j <= reach; ++j) {
    const double at = left + static_cast<double>(j);
    const bool inside = at >= 0 && at <= static_cast<double>(a.in - 1);
    const double weight = o.exclude_outside && !inside
                              ? 0
                              : kernel_value(cubic, o.cubic_a, (at - static_cast<double>(x)) * shrink);
    t.from.push_back(static_cast<int64_t>(std::clamp(at, 0.0, static_cast<double>(a.in - 1))));
    t.weight.push_back(weight);
    sum += weight;
  }
  if (o.antialias || o.exclude_outside)
    for (double& w : t.weight) w /= sum;
  return t;
}

/// data is [outer, in, inner]; returns [outer, out, inner].
std::vector<double> resize_axis(const std::vector<double>& data, const Axis& a, const Options& o,
                                double extrapolation, int64_t outer, int64_t inner) {
  std::vector<double> result(static_cast<size_t>(outer * a.out * inner), 0.0);
  for (int64_t i = 0; i < a.out; ++i) {
    const Taps taps = taps_at(a, o, source(a, o.coordinates, i));
    for (int64_t b = 0; b < outer; ++b) {
      double* to = result.data() + (b * a.out + i) * inner;
      if (taps.from.empty()) std::fill_n(to, inner, extrapolation);
      for (size_t k = 0; k < taps.from.size(); ++k) {
        const double* from = data.data() + (b * a.in + taps.from[k]) * inner;
        for (int64_t c = 0; c < inner; ++c) to[c] += taps.weight[k] * from[c];
      }
    }
  }
  return result;
}

/// keep_aspect_ratio_policy: one scale, the smallest (not_larger) or largest the sizes ask for, and sizes
/// that follow.
Status keep_aspect(const ir::Node& node, const std::vector<int64_t>& axes, std::vector<Axis>& plan) {
  const std::string policy = node.string_attr("keep_aspect_ratio_policy", "stretch");
  if (policy == "stretch" || axes.empty()) return {};
  float scale = 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    const Axis& a = plan[static_cast<size_t>(axes[i])];
    const float wanted = static_cast<float>(a.out) / static_cast<float>(a.in);
    scale = i == 0 ? wanted : policy == "not_larger" ? std::min(scale, wanted) : std::max(scale, wanted);
  }
  for (const int64_t axis : axes) {
    Axis& a = plan[static_cast<size_t>(axis)];
    const float size = std::floor(scale * static_cast<float>(a.in) + 0.5F);
    if (!(size >= 0 && size < 0x1p40F)) return invalid(node, "sizes that fit", fmt::format("{}", size));
    a.scale = scale;
    a.length = scale * static_cast<float>(a.in);
    a.out = static_cast<int64_t>(size);
  }
  return {};
}

Status read_scales(const ir::Node& node, const Tensor& tensor, const std::vector<int64_t>& axes,
                   std::vector<Axis>& plan) {
  const std::vector<double> scales = to_doubles(tensor);
  if (scales.size() != axes.size())
    return invalid(node, fmt::format("{} scales", axes.size()), to_string(tensor.shape()));
  const bool crop = node.string_attr("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize";
  for (size_t i = 0; i < axes.size(); ++i) {
    Axis& a = plan[static_cast<size_t>(axes[i])];
    const float part = crop ? a.roi_end - a.roi_begin : 1.0F;
    const float size = std::floor(static_cast<float>(a.in) * part * static_cast<float>(scales[i]));
    if (!(scales[i] > 1e-9 && scales[i] < 1e9) || !(size >= 0 && size < 0x1p40F))
      return invalid(node, "scales > 0 of a sane size", fmt::format("{}", scales[i]));
    a.scale = static_cast<float>(scales[i]);
    a.length = static_cast<float>(a.in) * a.scale;
    a.out = static_cast<int64_t>(size);
  }
  return {};
}

Status read_sizes(const ir::Node& node, const Tensor& tensor, const std::vector<int64_t>& axes,
                  std::vector<Axis>& plan) {
  NARROW_TRY(const std::vector<int64_t> sizes, int_list(node, &tensor));
  if (sizes.size() != axes.size())
    return invalid(node, fmt::format("{} sizes", axes.size()), to_string(sizes));
  for (size_t i = 0; i < axes.size(); ++i) {
    Axis& a = plan[static_cast<size_t>(axes[i])];
    if (sizes[i] < 1 || sizes[i] > kMaxTensorBytes || a.in < 1)
      return invalid(node, "sizes >= 1", to_string(sizes));
    a.out = sizes[i];
    a.scale = static_cast<float>(sizes[i]) / static_cast<float>(a.in);
    a.length = static_cast<float>(sizes[i]);
  }
  return keep_aspect(node, axes, plan);
}

/// An input of no elements means absent.
const Tensor* filled(Inputs inputs, size_t i) {
  const Tensor* t = optional_input(inputs, i);
  return t != nullptr && t->elements() > 0 ? t : nullptr;
}

Result<std::vector<Axis>> plan_axes(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  std::vector<int64_t> axes = node.ints_attr("axes");
  if (axes.empty()) {
    axes.resize(x.shape().size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  NARROW_TRY(axes, normal_axes(node, std::move(axes), x.rank()));
  std::vector<Axis> plan;
  for (const int64_t d : x.shape()) plan.push_back({.in = d, .out = d, .length = static_cast<float>(d)});
  if (const Tensor* roi = filled(inputs, 1)) {
    const std::vector<double> bounds = to_doubles(*roi);
    if (bounds.size() != 2 * axes.size())
      return invalid(node, "two bounds per axis in roi", to_string(roi->shape()));
    for (size_t i = 0; i < axes.size(); ++i) {
      plan[static_cast<size_t>(axes[i])].roi_begin = static_cast<float>(bounds[i]);
      plan[static_cast<size_t>(axes[i])].roi_end = static_cast<float>(bounds[i + axes.size()]);
    }
  }
  const Tensor *scales = filled(inputs, 2), *sizes = filled(inputs, 3);
  if ((scales == nullptr) == (sizes == nullptr))
    return invalid(node, "scales or sizes", scales ? "both" : "neither");
  if (scales != nullptr) NARROW_DO(read_scales(node, *scales, axes, plan));
  if (sizes != nullptr) NARROW_DO(read_sizes(node, *sizes, axes, plan));
  return plan;
}

Result<Options> options(const ir::Node& node) {
  Options o{.coordinates = node.string_attr("coordinate_transformation_mode", "half_pixel"),
            .mode = node.string_attr("mode", "nearest"),
            .nearest = node.string_attr("nearest_mode", "round_prefer_floor"),
            .cubic_a = node.float_attr("cubic_coeff_a", -0.75F),
            .exclude_outside = node.int_attr("exclude_outside", 0) != 0,
            .antialias = node.int_attr("antialias", 0) != 0};
  constexpr const char* kModes[] = {"half_pixel",    "half_pixel_symmetric", "pytorch_half_pixel",
                                    "align_corners", "asymmetric",           "tf_crop_and_resize"};
  if (std::find(std::begin(kModes), std::end(kModes), o.coordinates) == std::end(kModes))
    return unsupported(node, "a coordinate transformation of ONNX 19", o.coordinates);
  if (o.mode != "nearest" && o.mode != "linear" && o.mode != "cubic")
    return unsupported(node, "mode nearest, linear or cubic", o.mode);
  return o;
}

/// Interpolation in double; integers are cut off and saturated at the end, as a Cast would.
Outputs interpolate(const ir::Node& node, const Tensor& x, const std::vector<Axis>& plan, const Options& o,
                    double extrapolation) {
  std::vector<double> data = to_doubles(x);
  Shape shape = x.shape();
  for (size_t d = 0; d < plan.size(); ++d) {
    const Axis& a = plan[d];
    const bool whole = o.coordinates != "tf_crop_and_resize" || (a.roi_begin == 0 && a.roi_end == 1);
    if (a.out == a.in && a.scale == 1 && whole) continue;
    if (o.antialias && 1 / a.scale > 1e6)
      return unsupported(node, "a scale of at least 1e-6", fmt::format("{}", a.scale));
    const AxisView v = view_axis(shape, static_cast<int64_t>(d));
    shape[d] = a.out;
    NARROW_DO(checked_elements(shape, 8));
    data = resize_axis(data, a, o, extrapolation, v.outer, v.inner);
  }
  return one(cast(Tensor::of(shape, data), x.dtype()));
}

}  // namespace

Outputs eval_resize(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(const Options o, options(node));
  NARROW_TRY(const std::vector<Axis> plan, plan_axes(node, inputs));
  Shape shape;
  for (const Axis& a : plan) shape.push_back(a.out);
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), shape));
  if (y.elements() == 0) return one(std::move(y));
  if (x.elements() == 0) return invalid(node, "data to sample", to_string(x.shape()));
  const float extrapolation = node.float_attr("extrapolation_value", 0);
  if (o.mode != "nearest") return interpolate(node, x, plan, o, static_cast<double>(extrapolation));
  std::vector<std::vector<int64_t>> tables;
  for (const Axis& a : plan) {
    tables.emplace_back();
    for (int64_t i = 0; i < a.out; ++i) {
      const float at = source(a, o.coordinates, i);
      const float nearest = std::clamp(round_nearest(o.nearest, at), 0.0F, static_cast<float>(a.in - 1));
      tables.back().push_back(outside(a, o.coordinates, at) ? -1 : static_cast<int64_t>(nearest));
    }
  }
  const Tensor fill = cast(Tensor::scalar(extrapolation), x.dtype());
  NARROW_TRY(y, gather_by_tables(node, x, tables, fill.raw()));
  return one(std::move(y));
}

}  // namespace narrow::runtime::reference
