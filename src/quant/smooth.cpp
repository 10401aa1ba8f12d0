#include "quant/smooth.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "calib/histogram.h"
#include "quant/regions.h"
#include "quant/scale_groups.h"
#include "quant/weights.h"

namespace narrow::quant {
namespace {

const std::string& origin_of(const ir::Value* value) {
  return value->origin.empty() ? value->name : value->origin;
}

/// One product: its weights [channels, results], its rows, and what they give.
struct Product {
  std::vector<int> factors;  // per channel
  Tensor weights;            // [channels, results]
  const Tensor* rows;        // [rows, channels]
  double power = 0;          // mean of squares of the results, summed over them, per row
};

/// Sums over rows of x^T x are what the results' power needs; with the errors of values and weights
/// independent of everything else,
///   E |y' - y|^2  =  sum_j E[e_j^2] |W'_j|^2  +  sum_j E[x'_j^2] |w_j|^2,     e, w: rounding errors of x'
///   and W'.
class Judge {
 public:
  Judge(const ScaleGroup& group, const std::map<std::string, Tensor>& rows, const SmoothOptions& options)
      : group_(group), options_(options), extent_(static_cast<size_t>(group.factors), 0), weight_(extent_) {
    for (const ScaledLayer& layer : group.consumers) {
      const auto found = rows.find(origin_of(layer.node->input(0)));
      const WeightView w = weight_view(*layer.node);
      if (found == rows.end() || found->second.dim(1) != w.inputs) continue;
      Product product{layer.factors, Tensor::allocate(DType::f32, {w.inputs, w.outputs}), &found->second, 0};
      auto to = product.weights.mutable_data<float>();
      for (int64_t i = 0; i < w.inputs; ++i)
        for (int64_t o = 0; o < w.outputs; ++o) to[static_cast<size_t>(i * w.outputs + o)] = w.at(o, i, 0);
      look_at(product);
      products_.push_back(std::move(product));
    }
  }

  bool can_judge() const { return products_.size() == group_.consumers.size(); }

  std::vector<double> factors(double alpha) const {
    std::vector<double> s;
    const double most = *std::max_element(extent_.begin(), extent_.end());
    for (size_t f = 0; f < extent_.size(); ++f)  // what the samples never used is taken for a little used
      s.push_back(std::pow(std::max(extent_[f], 1e-5 * most), alpha) /
                  std::pow(std::max(weight_[f], 1e-12), 1 - alpha));
    // A common factor changes nothing: the largest extent stays.
    double largest = 0;
    for (size_t f = 0; f < s.size(); ++f) largest = std::max(largest, extent_[f] / s[f]);
    if (largest > 0 && most > 0)
      for (double& x : s) x *= largest / most;
    return s;
  }

  /// Expected noise over signal of the products' results, the mean of the products.
  double noise(const std::vector<double>& factors) const {
    double sum = 0;
    for (const Product& product : products_)
      if (product.power > 0) sum += noise_of(product, factors) / product.power;
    return sum / static_cast<double>(products_.size());
  }

 private:
  void look_at(Product& product) {
    const int64_t channels = product.weights.dim(0), results = product.weights.dim(1),
                  rows = product.rows->dim(0);
    const auto x = product.rows->data<float>(), w = product.weights.data<float>();
    std::vector<double> y(static_cast<size_t>(results));
    constexpr int64_t kRowsForPower = 32;
    const int64_t looked = std::min(rows, kRowsForPower);
    for (int64_t i = 0; i < looked; ++i) {
      std::fill(y.begin(), y.end(), 0.0);
      const float* row = x.data() + i * rows / looked * channels;
      for (int64_t j = 0; j < channels; ++j)
        for (int64_t o = 0; o < results; ++o)
          y[static_cast<size_t>(o)] +=
              static_cast<double>(row[j]) * static_cast<double>(w[static_cast<size_t>(j * results + o)]);
      for (const double v : y) product.power += v * v / static_cast<double>(looked);
    }
    for (int64_t j = 0; j < channels; ++j) {
      const int f = product.factors[static_cast<size_t>(j)];
      if (f == kFixed) continue;
      for (int64_t i = 0; i < rows; ++i)
        raise(extent_[static_cast<size_t>(f)], x[static_cast<size_t>(i * channels + j)]);
      for (int64_t o = 0; o < results; ++o)
        raise(weight_[static_cast<size_t>(f)], w[static_cast<size_t>(j * results + o)]);
    }
  }
  static void raise(double& largest, float x) {
    largest = std::max(largest, std::fabs(static_cast<double>(x)));
  }

  double noise_of(const Product& product, const std::vector<double>& factors) const {
    const int64_t channels = product.weights.dim(0), results = product.weights.dim(1),
                  rows = product.rows->dim(0);
    Tensor x = product.rows->clone(), w = product.weights.clone();
    const auto values = x.mutable_data<float>(), weights = w.mutable_data<float>();
    for (int64_t j = 0; j < channels; ++j) {
      const int f = product.factors[static_cast<size_t>(j)];
      if (f == kFixed) continue;
      const double s = factors[static_cast<size_t>(f)];
      for (int64_t i = 0; i < rows; ++i) {
        float& v = values[static_cast<size_t>(i * channels + j)];
        v = static_cast<float>(static_cast<double>(v) / s);
      }
      for (int64_t o = 0; o < results; ++o) {
        float& v = weights[static_cast<size_t>(j * results + o)];
        v = static_cast<float>(static_cast<double>(v) * s);
      }
    }
    const Quantization scales = weight_scales(w, 1);
    const Tensor rounded = dequantize_weights(quantize_weights(w, scales), scales);
    const std::vector<double> errors = value_errors(x);
    double noise = 0;
    for (int64_t j = 0; j < channels; ++j) {
      double norm = 0, error = 0, power = 0;
      for (int64_t o = 0; o < results; ++o) {
        const auto at = static_cast<size_t>(j * results + o);
        const double v = static_cast<double>(weights[at]),
                     d = static_cast<double>(rounded.data<float>()[at]) - v;
        norm += v * v, error += d * d;
      }
      for (int64_t i = 0; i < rows; ++i) {
        const auto v = static_cast<double>(values[static_cast<size_t>(i * channels + j)]);
        power += v * v / static_cast<double>(rows);
      }
      noise += errors[static_cast<size_t>(j)] * norm + power * error;
    }
    return noise;
  }

  /// Mean squared rounding error of each column: bytes with one scale, or signed ones with one per row.
  std::vector<double> value_errors(const Tensor& x) const {
    const int64_t rows = x.dim(0), channels = x.dim(1);
    const auto values = x.data<float>();
    std::vector<double> errors(static_cast<size_t>(channels), 0);
    AffineParameters all{1, 0};
    if (!options_.dynamic) {
      calib::Histogram histogram;
      histogram.add(values);
      const calib::Range range = calib::choose_range(histogram, options_.ranges);
      all = affine_from_range(range.low, range.high, kRangeU8);
    }
    for (int64_t i = 0; i < rows; ++i) {
      const auto row = values.subspan(static_cast<size_t>(i * channels), static_cast<size_t>(channels));
      AffineParameters own = all;
      if (options_.dynamic) {
        float most = 0;
        for (const float v : row) most = std::max(most, std::fabs(v));
        own = symmetric_from_magnitude(most, kRangeS8);
      }
      const IntegerRange codes = options_.dynamic ? kRangeS8 : kRangeU8;
      for (size_t j = 0; j < row.size(); ++j) {
        const float back =
            dequantize(quantize(row[j], own.scale, own.zero_point, codes), own.scale, own.zero_point);
        const double d = static_cast<double>(back) - static_cast<double>(row[j]);
        errors[j] += d * d / static_cast<double>(rows);
      }
    }
    return errors;
  }

  const ScaleGroup& group_;
  const SmoothOptions& options_;
  std::vector<double> extent_, weight_;  // per factor: largest magnitude of values and weights
  std::vector<Product> products_;
};

std::vector<std::string> names_of(const std::vector<ScaledLayer>& layers) {
  std::vector<std::string> names;
  for (const ScaledLayer& l : layers)
    names.push_back(l.node->name.empty() ? l.node->output()->name : l.node->name);
  return names;
}

double decibels(double noise) { return -10 * std::log10(std::max(noise, 1e-20)); }

}  // namespace

std::set<std::string> values_to_smooth(const ir::Graph& graph) {
  std::set<std::string> values;
  for (const ScaleGroup& group : find_scale_groups(graph).groups)
    if (only_products_read(group))
      for (const ScaledLayer& layer : group.consumers) values.insert(origin_of(layer.node->input(0)));
  return values;
}

Result<SmoothReport> smooth(ir::Graph& graph, const std::map<std::string, Tensor>& rows,
                            const SmoothOptions& options) {
  SmoothReport report;
  const ScaleGroups found = find_scale_groups(graph);
  for (const ScaleGroup& group : found.groups) {
    if (!only_products_read(group)) continue;
    const Judge judge(group, rows, options);
    if (!judge.can_judge()) continue;
    const double before = judge.noise(std::vector<double>(static_cast<size_t>(group.factors), 1.0));
    double least = before, alpha = -1;
    for (int step = 0; step <= options.steps; ++step) {
      const double a = static_cast<double>(step) / options.steps, noise = judge.noise(judge.factors(a));
      if (noise < least) least = noise, alpha = a;
    }
    if (alpha < 0) continue;
    const std::vector<double> factors = judge.factors(alpha);
    rescale(graph, group, factors);
    const auto [low, high] = std::minmax_element(factors.begin(), factors.end());
    report.groups.push_back({names_of(group.producers), names_of(group.consumers), group.factors, alpha, *low,
                             *high, decibels(before), decibels(least)});
  }
  if (!report.groups.empty()) {
    double gain = 0;
    for (const SmoothedGroup& g : report.groups) gain += g.sqnr_after - g.sqnr_before;
    report.note =
        fmt::format("smoothed the inputs of {} groups of products, whose results gain {:.1f} dB on average",
                    report.groups.size(), gain / static_cast<double>(report.groups.size()));
  }
  return report;
}

}  // namespace narrow::quant
