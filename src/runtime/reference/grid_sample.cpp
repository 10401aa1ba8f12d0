// GridSample and AffineGrid. A grid holds places in [-1, 1], x (the last axis) first.
#include <algorithm>
#include <cmath>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

enum class Padding : uint8_t { zeros, border, reflection };

struct Sampling {
  std::string mode;  // nearest, linear, cubic
  Padding padding = Padding::zeros;
  bool align_corners = false;
};

/// One source index along an axis with its weight; index -1: outside, worth 0.
struct Tap {
  int64_t index;
  double weight;
};

/// Mirrored at the borders until inside.
double reflect(double x, double low, double high) {
  const double range = high - low;
  if (!(range > 0)) return low;
  if (x >= low && x <= high) return x;
  const double away = x < low ? low - x : x - high;
  const double turns = std::floor(away / range), rest = away - turns * range;
  const bool even = std::fmod(turns, 2) == 0;
  return (x < low) == even ? low + rest : high - rest;
}

int64_t place(double i, int64_t size, const Sampling& s) {
  const auto last = static_cast<double>(size - 1);
  if (s.padding == Padding::reflection)
    i = std::trunc(reflect(i, s.align_corners ? 0 : -0.5, s.align_corners ? last : last + 0.5));
  if (s.padding != Padding::zeros) i = std::clamp(i, 0.0, last);
  return i >= 0 && i <= last ? static_cast<int64_t>(i) : -1;
}

/// Keys' cubic with a = -0.75 at distances 1 + x, x, 1 - x, 2 - x.
std::array<double, 4> cubic(double x) {
  constexpr double a = -0.75;
  const auto outer = [](double d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
  const auto inner = [](double d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
  return {outer(x + 1), inner(x), inner(1 - x), outer(2 - x)};
}

/// What `coordinate` in [-1, 1] reads along an axis of `size`.
std::vector<Tap> taps(double coordinate, int64_t size, const Sampling& s) {
  const auto n = static_cast<double>(size);
  double x = s.align_corners ? (coordinate + 1) / 2 * (n - 1) : ((coordinate + 1) * n - 1) / 2;
  if (!std::isfinite(x)) x = -1e9;
  x = std::clamp(x, -1e9, 1e9);
  if (s.mode == "nearest") x = std::nearbyint(x);
  const double low = s.align_corners ? 0 : -0.5, high = s.align_corners ? n - 1 : n - 0.5;
  if (x < low || x > high) {
    if (s.padding == Padding::border) x = std::clamp(x, 0.0, n - 1);
    if (s.padding == Padding::reflection) x = reflect(x, low, high);
  }
  if (s.mode == "nearest") return {{place(std::trunc(x), size, s), 1}};
  const double floor = std::floor(x), part = x - floor;
  if (s.mode == "linear") return {{place(floor, size, s), 1 - part}, {place(floor + 1, size, s), part}};
  const std::array<double, 4> weights = cubic(part);
  std::vector<Tap> list;
  for (int i = 0; i < 4; ++i)
    list.push_back({place(floor - 1 + i, size, s), weights[static_cast<size_t>(i)]});
  return list;
}

/// The weighted sum over the taps of all axes from `axis` on.
template <class T>
double sample(const T* data, const std::vector<std::vector<Tap>>& all, const std::vector<int64_t>& strides,
              size_t axis) {
  if (axis == all.size()) return static_cast<double>(*data);
  double sum = 0;
  for (const Tap& tap : all[axis])
    if (tap.index >= 0) sum += tap.weight * sample(data + tap.index * strides[axis], all, strides, axis + 1);
  return sum;
}

Result<Sampling> sampling(const ir::Node& node) {
  Sampling s{.mode = node.string_attr("mode", "linear"),
             .padding = Padding::zeros,
             .align_corners = node.int_attr("align_corners", 0) != 0};
  if (s.mode == "bilinear") s.mode = "linear";  // as opset 16 spells it
  if (s.mode == "bicubic") s.mode = "cubic";
  const std::string padding = node.string_attr("padding_mode", "zeros");
  if (padding == "border") s.padding = Padding::border;
  if (padding == "reflection") s.padding = Padding::reflection;
  const bool known_padding = padding == "zeros" || s.padding != Padding::zeros;
  if ((s.mode != "nearest" && s.mode != "linear" && s.mode != "cubic") || !known_padding)
    return unsupported(node, "mode nearest, linear or cubic; padding zeros, border or reflection",
                       s.mode + ", " + padding);
  return s;
}

}  // namespace

Outputs eval_grid_sample(const ir::Node& node, Inputs inputs) {
  const Tensor &x = *inputs[0], &grid = *inputs[1];
  NARROW_TRY(const Sampling s, sampling(node));
  if (x.rank() < 3 || x.rank() > 6 || grid.rank() != x.rank() || grid.shape().back() != x.rank() - 2 ||
      grid.dim(0) != x.dim(0) || x.elements() == 0)
    return invalid(node, "X [N,C,D1,...,Dr] and grid [N,...,r], r up to 4",
                   to_string(x.shape()) + " and " + to_string(grid.shape()));
  const Shape space(x.shape().begin() + 2, x.shape().end());
  Shape shape(grid.shape().begin(), grid.shape().end() - 1);
  shape.insert(shape.begin() + 1, x.dim(1));
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), shape));
  const std::vector<int64_t> strides = row_major_strides(space);
  const auto rank = static_cast<int64_t>(space.size());
  const int64_t points = grid.elements() / rank / x.dim(0), pixels = elements_of(space), channels = x.dim(1);
  const std::vector<double> places = to_doubles(grid);
  return for_floats(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    std::vector<std::vector<Tap>> all(space.size());
    for (int64_t i = 0; i < x.dim(0) * points; ++i) {
      for (size_t d = 0; d < space.size(); ++d)
        all[d] = taps(places[static_cast<size_t>((i + 1) * rank - 1) - d], space[d], s);
      const int64_t n = i / points;
      for (int64_t c = 0; c < channels; ++c)
        y.mutable_data<T>()[static_cast<size_t>((n * channels + c) * points + i % points)] =
            static_cast<T>(sample(x.data<T>().data() + (n * channels + c) * pixels, all, strides, 0));
    }
    return one(std::move(y));
  });
}

/// theta [N, r, r+1] times the homogeneous places of each pixel.
Outputs eval_affine_grid(const ir::Node& node, Inputs inputs) {
  const Tensor& theta = *inputs[0];
  NARROW_TRY(const std::vector<int64_t> size, int_list(node, inputs[1]));
  const int64_t rank = std::ssize(size) - 2;
  if ((rank != 2 && rank != 3) || theta.shape() != Shape{size[0], rank, rank + 1})
    return invalid(node, "a size of 4 or 5 numbers and theta [N,r,r+1]", to_string(theta.shape()));
  Shape shape = {size[0]};
  shape.insert(shape.end(), size.begin() + 2, size.end());
  shape.push_back(rank);
  NARROW_TRY(Tensor y, make_tensor(node, DType::f64, shape));
  const std::vector<double> t = to_doubles(theta);
  const bool corners = node.int_attr("align_corners", 0) != 0;
  const auto coordinate = [&](int64_t i, int64_t n) {
    if (corners) return n > 1 ? -1 + 2.0 * static_cast<double>(i) / static_cast<double>(n - 1) : 0.0;
    return (2.0 * static_cast<double>(i) + 1) / static_cast<double>(n) - 1;
  };
  const int64_t points = y.elements() == 0 ? 0 : y.elements() / rank / size[0];
  for (int64_t p = 0; p < points * size[0]; ++p) {
    std::array<double, 4> at{};  // x, y, z, 1
    int64_t rest = p % points;
    for (int64_t d = 0; d < rank; ++d) {
      const int64_t n = size[static_cast<size_t>(rank + 1 - d)];
      at[static_cast<size_t>(d)] = coordinate(rest % n, n);
      rest /= n;
    }
    at[static_cast<size_t>(rank)] = 1;
    for (int64_t r = 0; r < rank; ++r) {
      double sum = 0;
      for (int64_t k = 0; k <= rank; ++k)
        sum += t[static_cast<size_t>((p / points * rank + r) * (rank + 1) + k)] * at[static_cast<size_t>(k)];
      y.mutable_data<double>()[static_cast<size_t>(p * rank + r)] = sum;
    }
  }
  return one(cast(y, theta.dtype()));
}

}  // namespace narrow::runtime::reference
