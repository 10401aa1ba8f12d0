#include "quant/half_quadratic.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "quant/code_levels.h"
#include "quant/plan_formats.h"
#include "quant/regions.h"

namespace narrow::quant {
namespace {

class HalfQuadraticFitter {
 public:
  HalfQuadraticFitter(std::span<const float> group, const GroupOptions& options, bool half_scales,
                      const HalfQuadraticOptions& half_quadratic)
      : group_(group),
        options_(options),
        half_scales_(half_scales),
        half_quadratic_(half_quadratic),
        levels_(code_levels(options)) {}

  ScaleFit run() {
    const ScaleFit nearest = fit_group(group_, options_, half_scales_);
    consider(nearest);
    for (ScaleFit start : {nearest, whole_range()}) {
      double beta = kFirstBeta;
      for (int i = 0; i < half_quadratic_.iterations; ++i, beta *= kBetaGrowth) {
        const ScaleFit next = step(start, beta);
        if (next.scale == start.scale && next.zero_point == start.zero_point) break;
        consider(start = next);
      }
    }
    return best_;
  }

 private:
  static constexpr double kFirstBeta = 10, kBetaGrowth = 1.05;

  void consider(const ScaleFit& fit) {
    const double error = norm_error(group_, options_, fit, half_quadratic_.norm);
    if (least_ >= 0 && !(error < least_)) return;
    least_ = error, best_ = fit;
  }

  float stored(double scale) const {
    const auto narrow_scale = static_cast<float>(scale);
    return half_scales_ ? half_scale(narrow_scale) : narrow_scale;
  }

  ScaleFit whole_range() const {
    const auto [least, most] = std::minmax_element(group_.begin(), group_.end());
    const double low = std::min(*least, 0.0F), high = std::max(*most, 0.0F);
    if (low == high) return {};
    if (options_.symmetric) return {stored(std::max(high / levels_.high, low / levels_.low)), 0};
    const float scale = stored((high - low) / levels_.high);
    return {scale, std::clamp(static_cast<int>(std::lround(-low / static_cast<double>(scale))), levels_.low,
                              levels_.high)};
  }

  /// What of an error of `d` steps is allowed.
  double allowed(double d, double beta) const {
    const double size = std::fabs(d);
    if (size == 0) return 0;
    return std::copysign(std::max(0.0, size - std::pow(size, half_quadratic_.norm - 1) / beta), d);
  }

  ScaleFit step(const ScaleFit& fit, double beta) const {
    const auto scale = static_cast<double>(fit.scale);
    double product = 0, square = 0;
    std::vector<double> wanted, codes;
    for (const float x : group_) {
      const double code = code_of(x, fit, levels_), digit = code - fit.zero_point;
      const double target =
          static_cast<double>(x) - scale * allowed((static_cast<double>(x) - digit * scale) / scale, beta);
      product += target * digit, square += digit * digit;
      wanted.push_back(target), codes.push_back(code);
    }
    if (!(product > 0)) return fit;
    ScaleFit next{stored(product / square), fit.zero_point};
    if (!(next.scale > 0) || options_.symmetric) return next.scale > 0 ? next : fit;
    double zero = 0;
    for (size_t i = 0; i < codes.size(); ++i) zero += codes[i] - wanted[i] / static_cast<double>(next.scale);
    next.zero_point = std::clamp(static_cast<int>(std::lround(zero / static_cast<double>(codes.size()))),
                                 levels_.low, levels_.high);
    return next;
  }

  std::span<const float> group_;
  const GroupOptions& options_;
  bool half_scales_;
  const HalfQuadraticOptions& half_quadratic_;
  CodeLevels levels_;
  double least_ = -1;
  ScaleFit best_;
};

/// sum |w - w'|^p over a tensor.
double norm_error(const Tensor& weights, const GroupedWeights& stored, double norm) {
  const Tensor back = dequantize_groups(stored);
  const auto w = weights.data<float>(), v = back.data<float>();
  double sum = 0;
  for (size_t i = 0; i < w.size(); ++i)
    sum += std::pow(std::fabs(static_cast<double>(w[i]) - static_cast<double>(v[i])), norm);
  return sum;
}

}  // namespace

double norm_error(std::span<const float> group, const GroupOptions& options, const ScaleFit& fit,
                  double norm) {
  const CodeLevels levels = code_levels(options);
  double sum = 0;
  for (const float x : group) {
    const float back = static_cast<float>(code_of(x, fit, levels) - fit.zero_point) * fit.scale;
    sum += std::pow(std::fabs(static_cast<double>(x) - static_cast<double>(back)), norm);
  }
  return sum;
}

ScaleFit fit_half_quadratic(std::span<const float> group, const GroupOptions& options, bool half_scales,
                            const HalfQuadraticOptions& half_quadratic) {
  return HalfQuadraticFitter(group, options, half_scales, half_quadratic).run();
}

HalfQuadraticReport half_quadratic(const ir::Graph& graph, const calib::Profile* profile, Recipe& recipe,
                                   ThreadPool& pool, const HalfQuadraticOptions& options) {
  std::vector<std::pair<const ir::Node*, GroupedWeights*>> layers;
  for (const ir::Node* node : graph.nodes()) {
    const auto found = node->outputs().empty() ? recipe.groups.end() : recipe.groups.find(key_of(*node));
    if (found != recipe.groups.end() && (found->second.bits < 8 || found->second.group_size > 0))
      layers.emplace_back(node, &found->second);
  }
  std::vector<HalfQuadraticReport> parts(layers.size());
  pool.run(static_cast<int64_t>(layers.size()), [&](int64_t i) {
    const Tensor& weights = weights_of(*layers[static_cast<size_t>(i)].first)->constant();
    GroupedWeights& stored = *layers[static_cast<size_t>(i)].second;
    HalfQuadraticReport& part = parts[static_cast<size_t>(i)];
    part.nearest = norm_error(weights, stored, options.norm);
    stored = refit_groups(weights, stored,
                          [&](std::span<const float> group, const GroupOptions& groups, bool half_scales) {
                            return fit_half_quadratic(group, groups, half_scales, options);
                          });
    part.chosen = norm_error(weights, stored, options.norm);
  });
  HalfQuadraticReport report;
  for (const auto& [node, stored] : layers)
    if (profile != nullptr) correct_bias(*node, *profile, dequantize_groups(*stored), recipe);
  report.layers = static_cast<int64_t>(layers.size());
  for (const HalfQuadraticReport& part : parts) report.nearest += part.nearest, report.chosen += part.chosen;
  return report;
}

}  // namespace narrow::quant
