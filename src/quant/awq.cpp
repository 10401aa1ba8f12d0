#include "quant/awq.h"

#include <fmt/format.h>

#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "quant/regions.h"
#include "quant/scale_groups.h"

namespace narrow::quant {
namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstMap = Eigen::Map<const Matrix>;

/// One reader of the channels.
struct Reader {
  std::vector<int> factors;  // per channel
  Matrix weights;            // [channels, results]
  Matrix rows;               // [rows, channels]
  double power = 0;          // sum of squares of the results
};

class Judge {
 public:
  Judge(const ScaleGroup& group, const std::map<std::string, Tensor>& rows, const AwqOptions& options)
      : options_(options), size_(static_cast<size_t>(group.factors), 0.0) {
    std::vector<double> seen(size_.size(), 0.0);
    for (const ScaledLayer& layer : group.consumers) {
      const ir::Value* input = layer.node->input(0);
      const auto found = rows.find(input->origin.empty() ? input->name : input->origin);
      const WeightView w = weight_view(*layer.node);
      if (found == rows.end() || found->second.dim(1) != w.inputs || found->second.dim(0) == 0) return;
      const Tensor& x = found->second;
      Reader reader{layer.factors, Matrix(w.inputs, w.outputs),
                    ConstMap(x.data<float>().data(), x.dim(0), x.dim(1))};
      for (int64_t i = 0; i < w.inputs; ++i)
        for (int64_t o = 0; o < w.outputs; ++o) reader.weights(i, o) = w.at(o, i, 0);
      reader.power = squares(reader.rows * reader.weights);
      for (int64_t j = 0; j < w.inputs; ++j) {
        const int f = layer.factors[static_cast<size_t>(j)];
        if (f == kFixed) continue;
        size_[static_cast<size_t>(f)] += reader.rows.col(j).cwiseAbs().cast<double>().mean();
        ++seen[static_cast<size_t>(f)];
      }
      readers_.push_back(std::move(reader));
    }
    for (size_t f = 0; f < size_.size(); ++f)
      if (seen[f] > 0) size_[f] /= seen[f];
    complete_ = readers_.size() == group.consumers.size();
  }

  bool can_judge() const { return complete_ && *std::max_element(size_.begin(), size_.end()) > 0; }

  std::vector<double> factors(double alpha) const {
    const double most = *std::max_element(size_.begin(), size_.end());
    std::vector<double> s;
    for (const double size : size_) s.push_back(std::pow(std::max(size, kLeastSize * most), alpha));
    const auto [low, high] = std::minmax_element(s.begin(), s.end());
    const double middle = std::sqrt(*low * *high);
    for (double& x : s) x /= middle;
    return s;
  }

  double error(const std::vector<double>& factors) const {
    double sum = 0;
    for (const Reader& reader : readers_)
      if (reader.power > 0) sum += error_of(reader, factors) / reader.power;
    return sum / static_cast<double>(readers_.size());
  }

 private:
  /// A channel that the samples hardly used is taken for one of this share of the largest.
  static constexpr double kLeastSize = 1e-4;

  static double squares(const Matrix& m) { return m.cast<double>().squaredNorm(); }

  double error_of(const Reader& reader, const std::vector<double>& factors) const {
    const int64_t channels = reader.weights.rows(), results = reader.weights.cols();
    Tensor scaled = Tensor::allocate(DType::f32, {channels, results});
    Eigen::Map<Matrix> values(scaled.mutable_data<float>().data(), channels, results);
    std::vector<float> factor_of;
    for (const int f : reader.factors)
      factor_of.push_back(f == kFixed ? 1.0F : static_cast<float>(factors[static_cast<size_t>(f)]));
    const Eigen::Map<const Eigen::VectorXf> s(factor_of.data(), channels);
    values = s.asDiagonal() * reader.weights;
    GroupOptions groups = options_.groups;
    groups.group_size = std::min(groups.group_size, channels);
    const Tensor back = dequantize_groups(quantize_groups(scaled, groups.group_size == 0 ? 1 : 0, groups));
    const ConstMap rounded(back.data<float>().data(), channels, results);
    const Matrix difference = s.cwiseInverse().asDiagonal() * rounded - reader.weights;
    return squares(reader.rows * difference);
  }

  const AwqOptions& options_;
  std::vector<double> size_;  // per factor: mean |x|
  std::vector<Reader> readers_;
  bool complete_ = false;
};

std::vector<std::string> names_of(const std::vector<ScaledLayer>& layers) {
  std::vector<std::string> names;
  for (const ScaledLayer& l : layers)
    names.push_back(l.node->name.empty() ? l.node->output()->name : l.node->name);
  return names;
}

}  // namespace

Result<AwqReport> awq(ir::Graph& graph, const std::map<std::string, Tensor>& rows,
                      const AwqOptions& options) {
  AwqReport report;
  double gain = 0;
  const ScaleGroups found = find_scale_groups(graph);
  for (const ScaleGroup& group : found.groups) {
    if (!only_products_read(group)) continue;
    const Judge judge(group, rows, options);
    if (!judge.can_judge()) continue;
    const double before = judge.error(std::vector<double>(static_cast<size_t>(group.factors), 1.0));
    double least = before, alpha = 0;
    for (int step = 1; step <= options.steps; ++step) {
      const double a = static_cast<double>(step) / options.steps, error = judge.error(judge.factors(a));
      if (error < least) least = error, alpha = a;
    }
    if (!(least < (1 - options.least_gain) * before)) continue;
    const std::vector<double> factors = judge.factors(alpha);
    rescale(graph, group, factors);
    const auto [low, high] = std::minmax_element(factors.begin(), factors.end());
    report.groups.push_back({names_of(group.producers), names_of(group.consumers), group.factors, alpha, *low,
                             *high, before, least});
    gain += 10 * std::log10(before / std::max(least, 1e-30));
  }
  if (!report.groups.empty())
    report.note = fmt::format(
        "awq: {} groups of channels scaled; results of the products that read them gain {:.1f} dB on average",
        report.groups.size(), gain / static_cast<double>(report.groups.size()));
  return report;
}

}  // namespace narrow::quant
