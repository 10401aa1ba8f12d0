// Det, DFT, STFT, windows and mel weights; sums written out, in double.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

using Complex = std::complex<double>;
constexpr double kTau = 2 * std::numbers::pi;

/// y[k] = sum over i of x[i] e^(-tau j k i / n), + and / n for the inverse; k < bins.
std::vector<Complex> transform(const std::vector<Complex>& x, int64_t bins, bool inverse) {
  const int64_t n = std::ssize(x);
  std::vector<Complex> turns(x.size()), y(static_cast<size_t>(bins));
  for (int64_t i = 0; i < n; ++i)
    turns[static_cast<size_t>(i)] =
        std::polar(1.0, (inverse ? kTau : -kTau) * static_cast<double>(i) / static_cast<double>(n));
  for (int64_t k = 0; k < bins; ++k) {
    Complex sum = 0;
    for (int64_t i = 0, at = 0; i < n; ++i, at = (at + k) % n)
      sum += x[static_cast<size_t>(i)] * turns[static_cast<size_t>(at)];
    y[static_cast<size_t>(k)] = inverse ? sum / static_cast<double>(n) : sum;
  }
  return y;
}

/// By elimination with pivots.
double determinant(std::vector<double> m, int64_t n) {
  double det = 1;
  const auto at = [&](int64_t i, int64_t j) -> double& { return m[static_cast<size_t>(i * n + j)]; };
  for (int64_t c = 0; c < n; ++c) {
    int64_t pivot = c;
    for (int64_t i = c + 1; i < n; ++i)
      if (std::abs(at(i, c)) > std::abs(at(pivot, c))) pivot = i;
    if (at(pivot, c) == 0) return 0;
    if (pivot != c) {
      det = -det;
      for (int64_t j = 0; j < n; ++j) std::swap(at(pivot, j), at(c, j));
    }
    det *= at(c, c);
    for (int64_t i = c + 1; i < n; ++i) {
      const double factor = at(i, c) / at(c, c);
      for (int64_t j = c; j < n; ++j) at(i, j) -= factor * at(c, j);
    }
  }
  return det;
}

/// a - b cos(tau i / n) + c cos(2 tau i / n); periodic: n = size, symmetric: size - 1.
Outputs window(const ir::Node& node, Inputs inputs, double a, double b, double c) {
  NARROW_TRY(const int64_t size, int_scalar(node, *inputs[0]));
  NARROW_TRY(const DType type, onnx_dtype(node, node.int_attr("output_datatype", 1)));
  NARROW_TRY(Tensor y, make_tensor(node, DType::f64, {size}));
  const auto n =
      static_cast<double>(node.int_attr("periodic", 1) != 0 ? size : std::max<int64_t>(size - 1, 1));
  for (int64_t i = 0; i < size; ++i) {
    const double angle = kTau * static_cast<double>(i) / n;
    y.mutable_data<double>()[static_cast<size_t>(i)] = a - b * std::cos(angle) + c * std::cos(2 * angle);
  }
  return one(cast(y, type));
}

constexpr int64_t kMaxLength = int64_t{1} << 20;  // sums are written out: n^2 steps

}  // namespace

Outputs eval_det(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  if (x.rank() < 2 || x.dim(x.rank() - 1) != x.dim(x.rank() - 2))
    return invalid(node, "square matrices", to_string(x.shape()));
  const int64_t n = x.shape().back();
  NARROW_TRY(Tensor y, make_tensor(node, DType::f64, {x.shape().begin(), x.shape().end() - 2}));
  const std::vector<double> data = to_doubles(x);
  for (int64_t i = 0; i < y.elements(); ++i)
    y.mutable_data<double>()[static_cast<size_t>(i)] =
        determinant({data.begin() + i * n * n, data.begin() + (i + 1) * n * n}, n);
  return one(cast(y, x.dtype()));
}

/// The last axis holds the real part, or real and imaginary part. onesided: only the bins up to n / 2
/// (forward), or an input of those bins and a real output (inverse).
Outputs eval_dft(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  int64_t axis = -2;
  if (const Tensor* given = optional_input(inputs, 2)) {
    NARROW_TRY(axis, int_scalar(node, *given));
  }
  NARROW_TRY(axis, normal_axis(node, axis, x.rank()));
  if (axis == x.rank() - 1 || x.shape().back() < 1 || x.shape().back() > 2)
    return invalid(node, "[..., 1 or 2] and an axis before the last", to_string(x.shape()));
  const bool inverse = node.int_attr("inverse", 0) != 0, onesided = node.int_attr("onesided", 0) != 0;
  const bool mirrored = inverse && onesided;
  int64_t n = mirrored ? 2 * (x.dim(axis) - 1) : x.dim(axis);
  if (const Tensor* given = optional_input(inputs, 1)) {
    NARROW_TRY(n, int_scalar(node, *given));
  }
  if (n < 1 || n > kMaxLength)
    return invalid(node, fmt::format("a length in [1, {}]", kMaxLength), std::to_string(n));
  const int64_t bins = onesided && !inverse ? n / 2 + 1 : n, parts = x.shape().back(),
                out_parts = mirrored ? 1 : 2;
  Shape shape = x.shape();
  shape[static_cast<size_t>(axis)] = bins;
  shape.back() = out_parts;
  NARROW_TRY(Tensor y, make_tensor(node, DType::f64, shape));
  const std::vector<double> data = to_doubles(x);
  const AxisView v = view_axis({x.shape().begin(), x.shape().end() - 1}, axis);
  std::vector<Complex> line(static_cast<size_t>(n));
  for (int64_t l = 0; l < v.outer * v.inner; ++l) {
    const auto at = [&](int64_t i, int64_t size) { return (l / v.inner * size + i) * v.inner + l % v.inner; };
    for (int64_t i = 0; i < n; ++i) {
      Complex& value = line[static_cast<size_t>(i)] = 0;
      const bool conjugate = mirrored && i > n / 2;
      const int64_t from = conjugate ? n - i : i;
      if (from >= v.size) continue;
      const auto place = static_cast<size_t>(at(from, v.size) * parts);
      value = {data[place], parts == 2 ? data[place + 1] : 0};
      if (conjugate) value = std::conj(value);
    }
    const std::vector<Complex> result = transform(line, bins, inverse);
    for (int64_t k = 0; k < bins; ++k) {
      double* to = y.mutable_data<double>().data() + at(k, bins) * out_parts;
      to[0] = result[static_cast<size_t>(k)].real();
      if (out_parts == 2) to[1] = result[static_cast<size_t>(k)].imag();
    }
  }
  return one(cast(y, x.dtype()));
}

/// signal [batch, length, 1 or 2] -> [batch, frames, bins, 2]
Outputs eval_stft(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  const Tensor* window_input = optional_input(inputs, 2);
  NARROW_TRY(const int64_t step, int_scalar(node, *inputs[1]));
  int64_t n = window_input != nullptr ? window_input->elements() : 0;
  if (const Tensor* given = optional_input(inputs, 3)) {
    NARROW_TRY(n, int_scalar(node, *given));
  }
  if (x.rank() != 3 || x.dim(2) < 1 || x.dim(2) > 2 || step < 1 || n < 1 ||
      n > std::min(x.dim(1), kMaxLength) || (window_input != nullptr && window_input->elements() != n))
    return invalid(node,
                   "a signal [batch, length, 1 or 2], frame_step >= 1, a frame no longer than the signal",
                   to_string(x.shape()));
  const int64_t frames = (x.dim(1) - n) / step + 1, parts = x.dim(2);
  const int64_t bins = node.int_attr("onesided", 1) != 0 ? n / 2 + 1 : n;
  NARROW_TRY(Tensor y, make_tensor(node, DType::f64, {x.dim(0), frames, bins, 2}));
  const std::vector<double> data = to_doubles(x);
  const std::vector<double> weight =
      window_input != nullptr ? to_doubles(*window_input) : std::vector<double>(static_cast<size_t>(n), 1);
  std::vector<Complex> line(static_cast<size_t>(n));
  for (int64_t f = 0; f < x.dim(0) * frames; ++f) {
    for (int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<size_t>((f / frames * x.dim(1) + f % frames * step + i) * parts);
      line[static_cast<size_t>(i)] =
          weight[static_cast<size_t>(i)] * Complex(data[at], parts == 2 ? data[at + 1] : 0);
    }
    const std::vector<Complex> result = transform(line, bins, false);
    for (int64_t k = 0; k < bins; ++k) {
      y.mutable_data<double>()[static_cast<size_t>((f * bins + k) * 2)] =
          result[static_cast<size_t>(k)].real();
      y.mutable_data<double>()[static_cast<size_t>((f * bins + k) * 2 + 1)] =
          result[static_cast<size_t>(k)].imag();
    }
  }
  return one(cast(y, x.dtype()));
}

Outputs eval_hann_window(const ir::Node& node, Inputs inputs) { return window(node, inputs, 0.5, 0.5, 0); }
Outputs eval_hamming_window(const ir::Node& node, Inputs inputs) {
  return window(node, inputs, 25.0 / 46, 21.0 / 46, 0);
}
Outputs eval_blackman_window(const ir::Node& node, Inputs inputs) {
  return window(node, inputs, 0.42, 0.5, 0.08);
}

/// Triangles between neighbouring band edges, which lie evenly on the mel scale 2595 log10(1 + f / 700).
Outputs eval_mel_weight_matrix(const ir::Node& node, Inputs inputs) {
  NARROW_TRY(const int64_t bands, int_scalar(node, *inputs[0]));
  NARROW_TRY(const int64_t length, int_scalar(node, *inputs[1]));
  NARROW_TRY(const int64_t rate, int_scalar(node, *inputs[2]));
  NARROW_TRY(const double low, real_scalar(node, *inputs[3]));
  NARROW_TRY(const double high, real_scalar(node, *inputs[4]));
  NARROW_TRY(const DType type, onnx_dtype(node, node.int_attr("output_datatype", 1)));
  const bool sane = bands >= 1 && bands <= kMaxLength && length >= 1 && length <= kMaxLength && rate >= 1 &&
                    low >= 0 && high >= low && high <= static_cast<double>(rate);
  if (!sane) return invalid(node, "bands, length and rate >= 1, 0 <= lower <= upper edge <= rate", "others");
  const int64_t bins = length / 2 + 1;
  NARROW_TRY(Tensor y, make_tensor(node, DType::f64, {bins, bands}));
  const auto mel = [](double f) { return 2595 * std::log10(1 + f / 700); };
  std::vector<int64_t> edges;
  for (int64_t i = 0; i < bands + 2; ++i) {
    const double m =
        mel(low) + static_cast<double>(i) * (mel(high) - mel(low)) / static_cast<double>(bands + 2);
    const double f = 700 * (std::pow(10, m / 2595) - 1);
    edges.push_back(
        static_cast<int64_t>(std::floor(static_cast<double>(length + 1) * f / static_cast<double>(rate))));
  }
  for (int64_t i = 0; i < bins * bands; ++i) {
    const int64_t bin = i / bands;
    const auto band = static_cast<size_t>(i % bands);
    const int64_t left = edges[band], centre = edges[band + 1], right = edges[band + 2];
    double w = 0;
    if (bin >= left && bin < centre) w = static_cast<double>(bin - left) / static_cast<double>(centre - left);
    if (bin >= centre && bin < right)
      w = static_cast<double>(right - bin) / static_cast<double>(right - centre);
    if (bin == centre && left == centre) w = 1;
    y.mutable_data<double>()[static_cast<size_t>(i)] = w;
  }
  return one(cast(y, type));
}

}  // namespace narrow::runtime::reference
